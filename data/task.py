"""The contract of a task."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, Value
from torch import Tensor
from torchmetrics import MetricCollection
from transformers import PreTrainedTokenizerFast

from data.words import Numbering
from potstill.errors import UserError

IGNORED = -100  # where there is no label


def items(text: str) -> list[str] | None:
    """The entries of a list that a column held, see `data.sources.Columns`; None where it is none."""
    try:
        entries = json.loads(text)
    except json.JSONDecodeError:
        return None
    return [str(entry) for entry in entries] if isinstance(entries, list) else None


@dataclass(frozen=True)
class Task(ABC):
    """What is done with texts: how labels become numbers, a loss and scores.

    Args:
        labels: names of the numbers that a model gives for a row, in order; none as long as they are not known.
        metric: the score that chooses checkpoints and stands in the report; the `usual` one where not given.

    Attributes:
        name: for the report.
        problem: what a network's logits are about, see `models.heads`.
        missing: what stands for the label of a row without one.
        needs_labels: whether texts alone are not enough.
    """

    labels: Sequence[str] = ()
    metric: str = ""

    name: ClassVar[str]
    problem: ClassVar[str]
    missing: ClassVar[Any] = IGNORED
    needs_labels: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.labels:
            return
        if not self.metric:
            object.__setattr__(self, "metric", self.usual)
        elif self.metric not in (known := self.metrics()):
            raise UserError(f"data.metric: {self.metric!r} is none of {', '.join(map(str, known))}")

    @abstractmethod
    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        """The labels' names in order, from the labels of the training rows and from what the config gives.

        Raises:
            UserError: too few.
        """

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The index of each label."""
        return {label: number for number, label in enumerate(self.labels)}

    @property
    def feature(self) -> Any:
        """How the label of a row is kept."""
        return Value("int64")

    @property
    def words(self) -> Numbering | None:
        """Where logits are those of words, what gives the word of each token."""
        return None

    @property
    def choices(self) -> np.ndarray | None:
        """Where rows choose among different classes, which `[P, C]` those are for each `part` that a row may be of."""
        return None

    def note(self, max_length: int) -> str | None:
        """What the user should know of texts that are cut at so many tokens."""
        return None

    @property
    def words_per_token(self) -> float:
        """About how many words with logits of their own a text has for each token."""
        return 1.0

    def prepared(self, rows: Dataset, split: str) -> Dataset:
        """The rows of a split as they are learnt from, where that is something else than what was read.

        Raises:
            UserError: a label cannot be; the line names the row.
        """
        return rows

    def encoded(self, table: Dataset, tokenizer: PreTrainedTokenizerFast) -> Dataset:
        """The rows as networks read them, from what a tokenizer made of them, see `data.tokenization.tokenize`."""
        return table

    @abstractmethod
    def encode(self, label: str, text: str) -> Any:
        """A row's label as numbers; None where it is not to be understood."""

    def complaint(self, label: str, text: str) -> tuple[str, str]:
        """Why a label is not to be understood, and what to do."""
        return f"unknown label {label!r}", f"known are {', '.join(self.labels)}; name all classes with data.labels"

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Summed over the labelled rows, divided by all rows.

        So every labelled example weighs the same, however many rows without label share its batch;
        a batch with none gives zero.

        Args:
            logits: `[B, C]`, `[B, words, C]` or `[B, 2, words]`.
            labels: `[B]`, `[B, C]`, `[B, words]` or `[B, 2]`.
        """

    @property
    @abstractmethod
    def usual(self) -> str:
        """The metric that is taken where none is named."""

    @abstractmethod
    def metrics(self, rows: Dataset | None = None, **options: Any) -> MetricCollection:
        """Fresh counters of every score, fed with predictions, labels, and the `ids` of the rows.

        Args:
            rows: that are scored.
            options: of each, see `torchmetrics.Metric`.
        """

    def predictions(self, logits: Tensor) -> Tensor:
        """What is scored: `[B, C]` probabilities, `[B]` numbers, or `[B, words]` classes."""
        return logits.softmax(-1)

    def readable(self, predictions: Tensor, labels: Tensor) -> Tensor:
        """What a `line` is made of, from predictions and labels of a batch."""
        return predictions

    @property
    def columns(self) -> Sequence[str]:
        """Names of the numbers in a `line`."""
        return self.labels

    @abstractmethod
    def lines(self, rows: Dataset, predictions: Sequence[Tensor]) -> Iterator[list[Any]]:
        """What a model says of the rows, for a person to read: id, label, answer, numbers."""


class OfRows(Task):
    """A task that has an answer for each row."""

    def lines(self, rows: Dataset, predictions: Sequence[Tensor]) -> Iterator[list[Any]]:
        for row, prediction in zip(rows, predictions, strict=True):
            yield [row["id"], *self.line(row["label"], prediction)]

    @abstractmethod
    def line(self, label: Any, prediction: Tensor) -> list[str]:
        """A row's label as it is kept, and what a model says of it, for a person to read: label, answer, numbers."""
