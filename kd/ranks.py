"""What several processes that train together must not all do."""

import torch
from pytorch_lightning.utilities import rank_zero_only


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return getattr(rank_zero_only, "rank", 0) == 0


def wait_for_all() -> None:
    """Go on when all processes have come here; at once where there is but one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
