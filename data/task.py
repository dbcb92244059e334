"""The contract of a task."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from datasets import Value
from torch import Tensor
from torchmetrics import MetricCollection

from potstill.errors import UserError

IGNORED = -100  # where there is no label


@dataclass(frozen=True)
class Task(ABC):
    """What is done with texts: how labels become numbers, a loss and scores.

    Args:
        labels: names of the numbers that a model gives for a row, in order; none as long as they are not known.
        metric: the score that chooses checkpoints and stands in the report; the first of `metrics` where not given.

    Attributes:
        name: for the report.
        problem: transformers' `problem_type`.
        feature: in which the label of a row is kept.
    """

    labels: Sequence[str] = ()
    metric: str | None = None

    name: ClassVar[str]
    problem: ClassVar[str]
    feature: ClassVar[Any] = Value("int64")

    def __post_init__(self) -> None:
        if not self.labels:
            return
        known = list(map(str, self.metrics()))
        if self.metric is None:
            object.__setattr__(self, "metric", known[0])
        elif self.metric not in known:
            raise UserError(f"data.metric: {self.metric!r} is none of {', '.join(known)}")

    @abstractmethod
    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        """The labels' names in order, from the labels of the training rows and from what the config gives.

        Raises:
            UserError: too few.
        """

    @abstractmethod
    def encode(self, label: str | None) -> Any:
        """A row's label as numbers; what stands for none where there is none, or it is not to be understood."""

    @abstractmethod
    def lacks(self, labels: np.ndarray) -> np.ndarray:
        """Which of encoded labels stand for none."""

    def complaint(self, label: str) -> tuple[str, str]:
        """Why a label is not to be understood, and what to do."""
        return f"unknown label {label!r}", f"known are {', '.join(self.labels)}; name all classes with data.labels"

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Summed over the labelled rows, divided by all rows.

        So every labelled example weighs the same, however many rows without label share its batch;
        a batch with none gives zero.

        Args:
            logits: `[B, C]`.
            labels: of `[B]` rows.
        """

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Fresh counters of every score, fed with predictions and labels."""

    def predictions(self, logits: Tensor) -> Tensor:
        """What is scored: `[B, C]` probabilities, or `[B]` numbers."""
        return logits.softmax(-1)

    @abstractmethod
    def line(self, label: Any, prediction: Tensor) -> list[str]:
        """A row's label as it is kept, and what a model says of it, for a person to read: label, answer, numbers."""
