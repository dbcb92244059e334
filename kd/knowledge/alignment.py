"""Which positions of two encodings of a text belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from torch import Tensor

from models.output import Spec
from models.pieces import Pieces, present, to_words
from potstill.errors import UserError

Batch = Mapping[str, Any]
PIECES = get_args(Pieces)


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
    """Two tokenizers that cut differently: word by word, a word being what the task takes for one.

    That is what stands between white space, or of a question and a text a word or mark of the text.

    Words that one side cuts away with the end of the text, and tokens that belong to none, are left out.

    Args:
        one, other: fingerprints of the learner's and the teacher's tokenizers.
        pieces: what stands for a word of several pieces, see `models.pieces.to_words`.
    """

    one: str
    other: str
    pieces: Pieces = "mean"

    def __post_init__(self) -> None:
        if self.pieces not in PIECES:
            raise UserError(f"kd.terms: pieces={self.pieces!r} is none of {', '.join(PIECES)}")

    def learner(self, states: Tensor, batch: Batch) -> Tensor:
        return to_words(states, *words_of(batch, self.one), self.pieces)

    def teacher(self, states: Tensor, batch: Batch) -> Tensor:
        return to_words(states, *words_of(batch, self.other), self.pieces)

    def real(self, mask: Tensor, batch: Batch) -> Tensor:
        return present(*words_of(batch, self.one)) & present(*words_of(batch, self.other))


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


def words_of(batch: Batch, tokenizer: str) -> tuple[Tensor, int]:
    """The word of each token `[B, S]` of a tokenizer, and how many words the longest text has."""
    encoding = batch["encodings"][tokenizer]
    return encoding["words"], encoding["word_count"]
