"""The task of putting one class on a text or on a pair of texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from datasets import Dataset
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassMatthewsCorrCoef

from data.task import IGNORED, OfRows
from potstill.errors import UserError


@dataclass(frozen=True)
class Classification(OfRows):
    """One class a row: cross-entropy.

    Args:
        labels: the class names in order of their index.
        metric: `accuracy`, `f1` (macro average) or `matthews_correlation`.
    """

    name: ClassVar[str] = "classification"
    problem: ClassVar[str] = "single_label_classification"

    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        return class_names(found, given, least=2)

    def encode(self, label: str, text: str) -> int | None:
        return self.numbers.get(label)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / len(labels)

    @property
    def usual(self) -> str:
        return "accuracy"

    def metrics(self, rows: Dataset | None = None, **options: Any) -> MetricCollection:
        classes = len(self.labels)
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro", **options),
                "f1": MulticlassF1Score(classes, average="macro", **options),
                "matthews_correlation": MulticlassMatthewsCorrCoef(classes, **options),
            }
        )

    def line(self, label: int, prediction: Tensor) -> list[str]:
        return [self.labels[label], self.labels[int(prediction.argmax())], *written(prediction)]


def written(prediction: Tensor) -> list[str]:
    """Probabilities for a person to read."""
    return [f"{value:.7f}" for value in prediction.tolist()]


def class_names(found: Iterable[str], given: Sequence[str] | None, least: int) -> tuple[str, ...]:
    """The classes as given, or those found: as numbers where they are, else by name.

    Raises:
        UserError: there are fewer than so many.
    """
    names = set(found) if given is None else list(map(str, given))
    if len(names) < least:
        least_in_words = {1: "one class", 2: "two classes"}[least]
        raise UserError(f"data.labels: {least_in_words} at least are needed, there are {', '.join(names) or 'none'}")
    if isinstance(names, list):
        return tuple(names)
    numeric = all(label.lstrip("-").isdigit() for label in names)
    return tuple(sorted(names, key=int if numeric else str))
