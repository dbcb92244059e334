"""The task of putting a number on a text or on a pair of texts."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from datasets import Value
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.regression import PearsonCorrCoef, SpearmanCorrCoef

from data.task import Task
from potstill.errors import UserError


@dataclass(frozen=True)
class Regression(Task):
    """One number a row, such as the similarity of two texts: squared error.

    Args:
        labels: a name for the number.
        metric: `pearson` or `spearman`, the correlations of prediction and label.
    """

    name: ClassVar[str] = "regression"
    problem: ClassVar[str] = "regression"
    feature: ClassVar[Any] = Value("float32")

    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        if given is not None and len(given) != 1:
            raise UserError(f"data.labels: one name for the number, or null, not {', '.join(map(str, given))}")
        return tuple(map(str, given or ("score",)))

    def encode(self, label: str | None) -> float:
        try:
            number = math.nan if label is None else float(label)
        except ValueError:
            return math.nan
        return number if math.isfinite(number) else math.nan

    def lacks(self, labels: np.ndarray) -> np.ndarray:
        return np.isnan(labels)

    def complaint(self, label: str) -> tuple[str, str]:
        return f"the label {label!r} is no number", "for classes say data/task=classification"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        known = ~labels.isnan()
        return ((logits.squeeze(-1) - labels.nan_to_num()).square() * known).sum() / len(labels)

    def metrics(self) -> MetricCollection:
        return MetricCollection({"pearson": PearsonCorrCoef(), "spearman": SpearmanCorrCoef()})

    def predictions(self, logits: Tensor) -> Tensor:
        return logits.squeeze(-1)

    def line(self, label: float, prediction: Tensor) -> list[str]:
        return [f"{label:g}", f"{prediction.item():.7f}"]
