"""From the pieces of words to words, on the device and without a loop."""

from typing import Literal

import torch
from torch import Tensor

Pieces = Literal["mean", "first", "max"]
Reduction = Literal["mean", "first", "max", "logsumexp"]


def to_words(states: Tensor, words: Tensor, count: int, pieces: Reduction) -> Tensor:
    """States `[B, count, ...]` of words; zero for words without pieces.

    Args:
        states: of pieces, `[B, S, ...]`.
        words: number of the word to which each piece belongs, `[B, S]`; -1 for none.
        count: how many words the longest text has.
        pieces: what stands for a word of several: their `mean`, the `first`, or the greatest number of each
            dimension (`max`); of logits over pieces that of their summed probability (`logsumexp`).
    """
    spread = [1] * (states.dim() - 2)
    place = _places(words, count)
    if pieces == "first":
        rows, length = words.shape
        positions = torch.arange(length, device=words.device).expand(rows, length)
        first = words.new_full((rows, count + 1), length).scatter_reduce(1, place, positions, "amin")[:, :-1]
        index = first.reshape(rows, count, *spread).expand(-1, -1, *states.shape[2:])
        return torch.cat([states, torch.zeros_like(states[:, :1])], 1).gather(1, index)
    index = place.reshape(*words.shape, *spread).expand_as(states)
    empty = states.new_zeros(len(words), count + 1, *states.shape[2:])
    if pieces != "logsumexp":
        reduction = "amax" if pieces == "max" else "mean"
        return empty.scatter_reduce(1, index, states, reduction, include_self=False)[:, :-1]
    most = empty.scatter_reduce(1, index, states.detach(), "amax", include_self=False)
    total = empty.scatter_add(1, index, (states - most.gather(1, index)).exp())
    return (most + total.where(total > 0, 1.0).log())[:, :-1]


def present(words: Tensor, count: int) -> Tensor:
    """Which words `[B, count]` have any piece."""
    found = words.new_zeros(len(words), count + 1).scatter(1, _places(words, count), 1)
    return found[:, :-1].bool()


def _places(words: Tensor, count: int) -> Tensor:
    """The words, but one too many in place of -1: it takes what belongs to none."""
    return words.masked_fill(words < 0, count)
