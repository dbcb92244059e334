"""The task of putting a number on a text or on a pair of texts."""

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, Value
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.regression import PearsonCorrCoef, SpearmanCorrCoef

from data.task import OfRows
from potstill.errors import UserError

LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Regression(OfRows):
    """One number a row, such as the similarity of two texts: squared error.

    Args:
        labels: a name for the number.
        metric: `pearson` or `spearman`, the correlations of prediction and label.
    """

    name: ClassVar[str] = "regression"
    problem: ClassVar[str] = "regression"
    missing: ClassVar[Any] = math.nan

    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        if given is not None and len(given) != 1:
            raise UserError(f"data.labels: one name for the number, or null, not {', '.join(map(str, given))}")
        return tuple(map(str, given or ("score",)))

    @property
    def feature(self) -> Any:
        return Value("float32")

    def encode(self, label: str, text: str) -> float | None:
        try:
            number = float(label)
        except ValueError:
            return None
        return number if abs(number) <= LARGEST else None

    def complaint(self, label: str, text: str) -> tuple[str, str]:
        return f"the label {label!r} is no number", "for classes say data/task=classification"

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        known = ~labels.isnan()
        return ((logits.squeeze(-1) - labels.nan_to_num()).square() * known).sum() / len(labels)

    @property
    def usual(self) -> str:
        return "pearson"

    def metrics(self, rows: Dataset | None = None, **options: Any) -> MetricCollection:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Metric `Spearman")  # keeps all predictions, as it has to
            return MetricCollection({"pearson": PearsonCorrCoef(**options), "spearman": SpearmanCorrCoef(**options)})

    def predictions(self, logits: Tensor) -> Tensor:
        return logits.squeeze(-1)

    @property
    def columns(self) -> Sequence[str]:
        return ()

    def line(self, label: float, prediction: Tensor) -> list[str]:
        return [f"{label:g}", f"{prediction.item():.7f}"]
