"""Which positions of two encodings of a text belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from models.output import Spec
from potstill.errors import UserError

Batch = Mapping[str, Any]
Pieces = Literal["mean", "first", "max"]
PIECES = ("mean", "first", "max")


class Alignment:
    """Brings states of two tokenizers to the same positions; this one, of tokenizers that cut alike, leaves them."""

    def learner(self, states: Tensor, batch: Batch) -> Tensor:
        """The learner's states `[B, S, ...]` at the common positions, `[B, P, ...]`."""
        return states

    def teacher(self, states: Tensor, batch: Batch) -> Tensor:
        """The teacher's."""
        return states

    def real(self, mask: Tensor, batch: Batch) -> Tensor:
        """Which of the common positions both sides have, `[B, P]`, from the learner's mask `[B, S]`."""
        return mask


class ByText(Alignment):
    """One state a text."""

    def real(self, mask: Tensor, batch: Batch) -> Tensor:
        return mask.any(1)


@dataclass(frozen=True)
class ByWord(Alignment):
    """Two tokenizers that cut differently: word by word, a word being what stands between white space.

    Words that one side cuts away with the end of the text, and tokens that belong to none, are left out.

    Args:
        one, other: fingerprints of the learner's and the teacher's tokenizers.
        pieces: what stands for a word of several pieces: their `mean`, the `first`, or the greatest number of
            each dimension (`max`).
    """

    one: str
    other: str
    pieces: Pieces = "mean"

    def __post_init__(self) -> None:
        if self.pieces not in PIECES:
            raise UserError(f"kd.terms: pieces={self.pieces!r} is none of {', '.join(PIECES)}")

    def learner(self, states: Tensor, batch: Batch) -> Tensor:
        return to_words(states, batch["words"][self.one], batch["word_count"], self.pieces)

    def teacher(self, states: Tensor, batch: Batch) -> Tensor:
        return to_words(states, batch["words"][self.other], batch["word_count"], self.pieces)

    def real(self, mask: Tensor, batch: Batch) -> Tensor:
        one, other = (present(batch["words"][name], batch["word_count"]) for name in (self.one, self.other))
        return one & other


def alignment(learner: Spec, teacher: Spec, pieces: Pieces = "mean") -> Alignment:
    """How the positions of the two are brought together."""
    by_word = ByWord(learner.tokenizer, teacher.tokenizer, pieces)
    return Alignment() if cut_alike(learner, teacher) else by_word


def cut_alike(learner: Spec, teacher: Spec) -> bool:
    """Whether both cut the training texts at the same places."""
    return learner.tokenizer == teacher.tokenizer or learner.segmentation == teacher.segmentation


def other_tokenizer(learner: Spec, teacher: Spec) -> str | None:
    """Why position by position comparison cannot work between the two; None where it can."""
    if cut_alike(learner, teacher):
        return None
    return (
        "tokens are compared one by one, but learner and teacher have different tokenizers, which cut the training "
        "texts at different places; say student.vocabulary=teacher"
    )


def to_words(states: Tensor, words: Tensor, count: int, pieces: Pieces) -> Tensor:
    """States `[B, count, ...]` of words; zero for words without pieces.

    Args:
        states: of pieces, `[B, S, ...]`.
        words: number of the word to which each piece belongs, `[B, S]`; -1 for none.
        count: how many words the longest text has.
        pieces: what stands for a word, see `ByWord`.
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
    reduction = "amax" if pieces == "max" else "mean"
    return empty.scatter_reduce(1, index, states, reduction, include_self=False)[:, :-1]


def present(words: Tensor, count: int) -> Tensor:
    """Which words `[B, count]` have any piece."""
    found = words.new_zeros(len(words), count + 1).scatter(1, _places(words, count), 1)
    return found[:, :-1].bool()


def _places(words: Tensor, count: int) -> Tensor:
    """The words, but one too many in place of -1: it takes what belongs to none."""
    return words.masked_fill(words < 0, count)
