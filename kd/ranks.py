"""What several processes that train together must not all do."""

from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_only


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return getattr(rank_zero_only, "rank", 0) == 0


def gathered(mine: list[Any]) -> list[Any]:
    """The items of all processes, in the order of the ranks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return mine
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, mine)
    return [item for part in parts for item in part]


def from_first(value: Any) -> Any:
    """What the first process says."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    said = [value]
    torch.distributed.broadcast_object_list(said, src=0)
    return said[0]


def wait_for_all() -> None:
    """Go on when all processes have come here; at once where there is but one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
