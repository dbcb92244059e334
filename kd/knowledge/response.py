"""Knowledge in the logits."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from kd.knowledge.base import Knowledge
from kd.knowledge.distances import soft_targets
from models.output import ModelOutput, Spec
from potstill.errors import UserError


class Logits(Knowledge):
    """A distance between the logits of learner and teacher, averaged over the rows.

    Args:
        distance: of `[B, C]` logits, e.g. `kd.knowledge.distances.mse` for logit regression (Ba &
            Caruana, 2014, arXiv 1312.6184; Tang et al., 2019, arXiv 1903.12136).
        weight, optional: see `Knowledge`.
    """

    def __init__(self, distance: Callable[[Tensor, Tensor], Tensor], weight: float = 1.0, optional: bool = False):
        super().__init__(weight, optional)
        self.distance = distance

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if learner.classes != teacher.classes:
            return f"the learner has {learner.classes} classes, the teacher {teacher.classes}"
        return super().fits(learner, teacher)

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        return self.distance(learner.logits, teacher.logits).mean()


class SoftTargets(Logits):
    """The teacher's class probabilities, softened: `T^2 KL(teacher || learner)`.

    Paper: Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv
    1503.02531. Averaged over rows (not over rows and classes, as some codes do, which makes their
    weights smaller by the number of classes).

    Args:
        temperature: T; 2 as in DistilBERT.
        weight, optional: see `Knowledge`.
    """

    def __init__(self, temperature: float = 2.0, weight: float = 1.0, optional: bool = False):
        if not temperature > 0:
            raise UserError(f"kd.terms: temperature {temperature} is not above 0")
        super().__init__(self.soften, weight, optional)
        self.temperature = temperature

    def soften(self, learner: Tensor, teacher: Tensor) -> Tensor:
        """The distance at this term's temperature."""
        return soft_targets(learner, teacher, self.temperature)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"T = {self.temperature:g}"
