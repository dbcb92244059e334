"""A network that learns from itself as it was at the end of the last cycle."""

import math
from collections.abc import Iterator, Mapping

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from kd.moment import Moment
from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step
from models.network import Network
from models.output import Spec
from potstill.errors import UserError

SNAPSHOT = "snapshot"


class Snapshot(Scheme):
    """Training in cycles: in each but the first the student also learns from its weights at the last one's end.

    Paper: Yang et al., "Snapshot Distillation: Teacher-Student Optimization in One Generation", 2019, arXiv
    1812.00123. The learning rate falls as a half cosine in each cycle and jumps back for the next; weights and
    optimizer go on. The paper softens the teacher alone (`kd=softened_teacher`) and gives the labels the
    weight 1 + 1/T beside it. Before the first cycle the rate rises from zero, which fine-tuning needs.

    Args:
        cycles: how many.
        label_weight: of the label loss from the second cycle on.
        warmup: share of the first cycle over which the rate rises.
    """

    def __init__(self, cycles: int = 2, label_weight: float = 4 / 3, warmup: float = 0.1):
        super().__init__()
        if not isinstance(cycles, int) or cycles < 2:
            raise UserError(f"scheme.cycles: {cycles!r} is not a whole number from 2 on")
        self.cycles, self.label_weight, self.warmup = cycles, label_weight, warmup

    def copies(self) -> Mapping[str, str]:
        return {SNAPSHOT: STUDENT}

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        return [Pair(STUDENT, specs[STUDENT], SNAPSHOT, specs[SNAPSHOT])]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        taught = step.moment.update >= self.length(step.moment.updates)
        for pair in pairs:
            if taught:
                yield Lesson(pair, step.run(STUDENT), step.run(SNAPSHOT), 1.0, self.label_weight)
            else:
                yield Lesson(pair, step.run(STUDENT))

    def after_update(self, networks: Mapping[str, Network], copies: Mapping[str, Network], moment: Moment) -> None:
        if moment.update % self.length(moment.updates) == 0:
            copies[SNAPSHOT].load_state_dict(networks[STUDENT].state_dict())

    def schedule(self, optimizer: Optimizer, updates: int) -> LRScheduler:
        length = self.length(updates)
        rising = int(self.warmup * length)

        def share(update: int) -> float:
            falling = (1 + math.cos(math.pi * (update % length) / length)) / 2
            return falling * min(1.0, update / rising) if rising else falling

        return LambdaLR(optimizer, share)

    def length(self, updates: int) -> int:
        """Updates of a cycle."""
        return math.ceil(updates / self.cycles)
