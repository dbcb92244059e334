"""The task of putting one class on a text or on a pair of texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassMatthewsCorrCoef

from data.examples import IGNORED
from potstill.errors import UserError


@dataclass(frozen=True)
class Classification:
    """How class labels become a loss and scores.

    Args:
        labels: the class names in order of their index.
        metric: the score that chooses checkpoints and stands in the report:
            `accuracy`, `f1` (macro average) or `matthews_correlation`.
    """

    labels: Sequence[str]
    metric: str = "accuracy"

    name: ClassVar[str] = "classification"

    def __post_init__(self) -> None:
        if self.metric not in (known := self.metrics()):
            raise UserError(f"data.metric: {self.metric!r} is none of {', '.join(map(str, known))}")

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy summed over the labelled rows, divided by all rows.

        So every labelled example weighs the same, however many rows without label share its batch;
        a batch with none gives zero.

        Args:
            logits: `[B, C]`.
            labels: `[B]`, -100 for rows without label.
        """
        return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / len(labels)

    def metrics(self) -> MetricCollection:
        """Fresh counters of every score, fed with logits and labels."""
        classes = len(self.labels)
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro"),
                "f1": MulticlassF1Score(classes, average="macro"),
                "matthews_correlation": MulticlassMatthewsCorrCoef(classes),
            }
        )
