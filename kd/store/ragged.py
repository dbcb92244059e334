"""Rows of different length without their padding, and back."""

from collections.abc import Sequence

import torch
from torch import Tensor

Shape = tuple[int, ...]
LENGTH = -1  # in a row's shape: as many as the row has real positions


def cut(tensor: Tensor, positions: Sequence[int], lengths: Sequence[int]) -> tuple[Shape, list[Tensor]]:
    """The real parts of the rows of a batch.

    Args:
        tensor: `[B, …]`.
        positions: which of its dimensions count positions.
        lengths: real positions of each row; padding is behind them.

    Returns:
        The shape of a row, -1 standing for its length, and the rows, each flat.
    """
    shape = tuple(LENGTH if number in positions else size for number, size in enumerate(tensor.shape) if number)
    rows = [tensor[number][_real(shape, length)].reshape(-1) for number, length in enumerate(lengths)]
    return shape, rows


def pad(rows: Sequence[Tensor], shape: Shape, lengths: Sequence[int], width: int) -> Tensor:
    """The batch `[B, …]` of flat rows, with zeros in the places of padding; the reverse of `cut`.

    Args:
        rows: as `cut` gives them.
        shape: of a row.
        lengths: real positions of each row.
        width: positions of the batch.
    """
    if LENGTH not in shape:
        return torch.stack(list(rows)).view(len(rows), *shape)
    batch = rows[0].new_zeros(len(rows), *_sized(shape, width))
    for place, row, length in zip(batch, rows, lengths, strict=True):
        place[_real(shape, length)] = row.view(_sized(shape, length))
    return batch


def _sized(shape: Shape, length: int) -> Shape:
    return tuple(length if size == LENGTH else size for size in shape)


def _real(shape: Shape, length: int) -> tuple[slice, ...]:
    return tuple(slice(length) if size == LENGTH else slice(None) for size in shape)
