"""What several processes that train together must not all do."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from pytorch_lightning.utilities import rank_zero_only

log = logging.getLogger(__name__)


def is_first() -> bool:
    """Whether this process is the one that writes and prints."""
    return getattr(rank_zero_only, "rank", 0) == 0


@contextmanager
def locked(path: Path, otherwise: str) -> Iterator[None]:
    """Hold a lock, in the first process for all of them; says so where it has to be waited for.

    Args:
        path: of the lock.
        otherwise: what another run is doing if it holds it.
    """
    if not is_first():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("%s; waiting for it", otherwise)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


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
