"""Several processes that train together: what only one of them does, and what they do as one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

log = logging.getLogger(__name__)

_alone = False


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


class _Gathered(torch.autograd.Function):
    """The tensors of all processes, `[ranks, ...]`; each gets the sum of the gradients that all have for its own."""

    @staticmethod
    def forward(_: Any, mine: Tensor) -> Tensor:
        parts = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, mine.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        torch.distributed.all_reduce(gradient)
        return gradient[torch.distributed.get_rank()]


def joined(mine: Tensor) -> Tensor:
    """The rows of all processes, in the order of the ranks; gradients go back to the process they came from.

    Args:
        mine: `[B, ...]`, B perhaps another in each process.
    """
    if not several():
        return mine
    counts = gathered([len(mine)])
    filled = torch.cat([mine, mine.new_zeros(max(counts) - len(mine), *mine.shape[1:])])
    parts = _Gathered.apply(filled)
    return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])


def mean(mine: Tensor) -> Tensor:
    """The mean of a tensor over all processes, without gradient."""
    if not several():
        return mine
    total = mine.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


@contextmanager
def alone() -> Iterator[None]:
    """For a while, let this process do everything by itself."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def several() -> bool:
    """Whether more processes than this one train together."""
    begun = torch.distributed.is_available() and torch.distributed.is_initialized()
    return begun and not _alone and torch.distributed.get_world_size() > 1


def gathered(mine: list[Any]) -> list[Any]:
    """The items of all processes, in the order of the ranks."""
    if not several():
        return mine
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, mine)
    return [item for part in parts for item in part]


def from_first(value: Any) -> Any:
    """What the first process says."""
    if not several():
        return value
    said = [value]
    torch.distributed.broadcast_object_list(said, src=0)
    return said[0]


def wait_for_all() -> None:
    """Go on when all processes have come here; at once where there is but one."""
    if several():
        torch.distributed.barrier()
