"""Knowledge in the logits."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from kd.knowledge.base import Knowledge
from kd.knowledge.distances import mse, soft_targets
from kd.moment import Moment
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


class SoftenedTeacher(SoftTargets):
    """The teacher's softened probabilities beside the learner's own: `KL(softmax(z_t / T) || softmax(z_s))`.

    Paper: Yang et al., "Snapshot Distillation", 2019, arXiv 1812.00123: only the teacher is softened, which helps
    where it is hardly better than the learner; no factor T^2.

    Args:
        temperature: T, of the teacher alone; the paper has 2 to 3.
        weight, optional: see `Knowledge`.
    """

    def soften(self, learner: Tensor, teacher: Tensor) -> Tensor:
        """The distance at this term's temperature."""
        return soft_targets(learner, teacher / self.temperature, 1.0)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"T = {self.temperature:g}, of the teacher alone"


class AnnealedLogits(Logits):
    """The teacher's logits, which grow to their full size: `(z_s - phi z_t)^2`, phi from 1/steps to 1.

    Paper: Jafari et al., "Annealing Knowledge Distillation", 2021, arXiv 2104.07163: phi rises in so many steps of
    about as many epochs each; the learner is not scaled. A second stage on the labels alone follows.

    Args:
        steps: the paper's highest temperature.
        weight, optional: see `Knowledge`.
    """

    def __init__(self, steps: int = 7, weight: float = 1.0, optional: bool = False):
        if not isinstance(steps, int) or steps < 1:
            raise UserError(f"kd.terms: steps {steps!r} is not a whole number above 0")
        super().__init__(self.scaled, weight, optional)
        self.steps, self.factor = steps, 1 / steps

    def at(self, moment: Moment) -> None:
        self.factor = math.ceil((moment.epoch + 1) * self.steps / moment.epochs) / self.steps

    def scaled(self, learner: Tensor, teacher: Tensor) -> Tensor:
        """The distance at this step."""
        return mse(learner, self.factor * teacher)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"in {self.steps} steps"
