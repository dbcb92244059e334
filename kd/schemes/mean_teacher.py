"""A network that learns from the running average of its own weights."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch

from kd.moment import Moment
from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step
from models.network import Network
from models.output import Spec
from potstill.errors import UserError

AVERAGE = "average"


class MeanTeacher(Scheme):
    """The student learns from an exponential moving average of its weights, which is also what is saved.

    Paper: Tarvainen & Valpola, "Mean teachers are better role models", 2017, arXiv 1703.01780: after update s
    the average keeps `min(1 - 1 / (s + 1), decay)` of itself, and the weight of what it says rises as
    `exp(-5 (1 - t)^2)`, t from 0 to 1 over the ramp. Here the average starts as the student and speaks without
    dropout. Decay 0.99 suits the few hundred updates of a fine-tuning; the paper's 0.999 looks back a thousand.

    Args:
        decay: what the average keeps of itself in an update, at most.
        weight: of what the average says, at its highest.
        ramp: share of the training over which that weight rises.
    """

    outcome: ClassVar[str] = AVERAGE

    def __init__(self, decay: float = 0.99, weight: float = 1.0, ramp: float = 0.25):
        super().__init__()
        for key, value in (("decay", decay), ("ramp", ramp)):
            if not 0 <= value <= 1:
                raise UserError(f"scheme.{key}: {value} is not a number from 0 to 1")
        self.decay, self.weight, self.ramp = decay, weight, ramp

    def copies(self) -> Mapping[str, str]:
        return {AVERAGE: STUDENT}

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        return [Pair(STUDENT, specs[STUDENT], AVERAGE, specs[AVERAGE])]

    def share(self, moment: Moment) -> float:
        return self.weight * moment.ramp(self.ramp)

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        for pair in pairs:
            yield Lesson(pair, step.run(STUDENT), step.run(AVERAGE), self.share(step.moment))

    @torch.no_grad()
    def after_update(self, networks: Mapping[str, Network], copies: Mapping[str, Network], moment: Moment) -> None:
        kept = min(1 - 1 / (moment.update + 1), self.decay)
        theirs = networks[STUDENT].state_dict()
        for name, average in copies[AVERAGE].state_dict().items():
            if average.is_floating_point():
                average.lerp_(theirs[name], 1 - kept)
            else:
                average.copy_(theirs[name])
