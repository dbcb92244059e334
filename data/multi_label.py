"""The task of putting any number of labels on a text or on a pair of texts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from datasets import Dataset, List, Value
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelAccuracy, MultilabelExactMatch, MultilabelF1Score

from data.classification import class_names, written
from data.task import IGNORED, OfRows, items

SEPARATOR = "|"


@dataclass(frozen=True)
class MultiLabel(OfRows):
    """For each label whether a row has it: binary cross-entropy, summed over labels.

    A row's labels are a list, or in csv and tsv files one text, `a|b`; a row that has none of them but is labelled
    says so with `|`, or an empty list.

    Args:
        labels: their names in order.
        metric: `f1` (micro average), `macro_f1`, `accuracy` (over rows and labels), or `exact_match` (all labels of
            a row).
    """

    name: ClassVar[str] = "multi_label"
    problem: ClassVar[str] = "multi_label_classification"

    @property
    def missing(self) -> list[int]:
        return [IGNORED] * len(self.labels)

    @property
    def feature(self) -> Any:
        return List(Value("int64"), length=len(self.labels))

    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        return class_names((name for labels in found for name in split_up(labels) or ()), given, least=1)

    def encode(self, label: str, text: str) -> list[int] | None:
        names = split_up(label)
        if names is None or set(names) - set(self.labels):
            return None
        return [int(name in names) for name in self.labels]

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        costs = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0).to(logits.dtype), reduction="none")
        return (costs * (labels != IGNORED)).sum() / len(labels)

    @property
    def usual(self) -> str:
        return "f1"

    def metrics(self, rows: Dataset | None = None, **options: Any) -> MetricCollection:
        count = len(self.labels)
        return MetricCollection(
            {
                "f1": MultilabelF1Score(count, average="micro", **options),
                "macro_f1": MultilabelF1Score(count, average="macro", **options),
                "accuracy": MultilabelAccuracy(count, average="micro", **options),
                "exact_match": MultilabelExactMatch(count, **options),
            }
        )

    def predictions(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def line(self, label: list[int], prediction: Tensor) -> list[str]:
        both = label, (prediction > 0.5).tolist()
        said = (SEPARATOR.join(name for name, has in zip(self.labels, some, strict=True) if has) for some in both)
        return [*said, *written(prediction)]


def split_up(labels: str) -> list[str] | None:
    """The single labels of a row; None where they are not to be understood."""
    if labels.startswith("["):
        return items(labels)
    return [label.strip() for label in labels.split(SEPARATOR) if label.strip()]
