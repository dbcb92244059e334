"""A network with several classifiers that learn from what they say together."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from kd.moment import Moment
from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step, logits_only
from kd.schemes.group import mean_of_logits, saying
from models.output import Field, Fields, ModelOutput, Spec
from potstill.errors import UserError

GATE = "gate"


class NativeEnsemble(Scheme):
    """Branches on one encoder learn from labels and from their gated sum, which learns from labels too (ONE).

    Paper: Lan, Zhu & Gong, "Knowledge Distillation by On-the-Fly Native Ensemble", 2018, arXiv 1806.04606. There a
    branch is the network's last block with its classifier; here it is a classifier of its own, a hidden layer
    in it, on the last layer, which suits every kind of student. The gate reads the mean of that layer,
    normalised row by row where the paper normalises over the batch, so that a batch of one row can pass. The student's
    own classifier is the branch that is kept.

    Args:
        branches: how many, the student's own among them.
        ramp: share of the training over which the weight of what the gate says rises.
    """

    gate: nn.Module

    def __init__(self, branches: int = 3, ramp: float = 0.25):
        super().__init__()
        if not isinstance(branches, int) or branches < 2:
            raise UserError(f"scheme.branches: {branches!r} is not a whole number from 2 on")
        self.branches, self.ramp = branches, ramp

    def exits(self, specs: Mapping[str, Spec]) -> tuple[int, ...]:
        return (specs[STUDENT].layers,) * (self.branches - 1)

    def requires(self, specs: Mapping[str, Spec]) -> Mapping[str, Fields]:
        return {STUDENT: frozenset({Field("mean_states", specs[STUDENT].layers)})}

    def connect(self, specs: Mapping[str, Spec]) -> None:
        self._layer = specs[STUDENT].layers
        width = specs[STUDENT].widths[-1]
        self.gate = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, self.branches), nn.ReLU())

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student = logits_only(specs[STUDENT], specs[STUDENT].kind)
        gate = logits_only(specs[STUDENT], GATE)
        others = [f"branch{number}" for number in range(2, self.branches + 1)]
        taught = [Pair(STUDENT, student, GATE, gate, sources=())]
        taught += [Pair(name, student, GATE, gate, network=STUDENT, sources=()) for name in others]
        return [Pair(GATE, gate), *taught]

    def share(self, moment: Moment) -> float:
        return moment.ramp(self.ramp)

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        student = step.run(STUDENT)
        branches = [student.logits, *student.exits]
        together = self.together(student)
        weight = self.share(step.moment)
        first, *taught = pairs
        yield Lesson(first, ModelOutput(together, student.mask))
        for pair, logits in zip(taught, branches, strict=True):
            yield Lesson(pair, ModelOutput(logits, student.mask), saying(together, student), weight)

    def together(self, student: ModelOutput) -> Tensor:
        """The branches' logits, weighted by the gate row by row, `[B, C]`."""
        weights = self.gate(student.mean_states[self._layer].float()).softmax(-1)
        return mean_of_logits([student.logits, *student.exits], weights)

    def predictions(self, outputs: Mapping[str, ModelOutput]) -> dict[str, Tensor]:
        student = outputs[STUDENT]
        branches = {f"branch{number}": logits for number, logits in enumerate(student.exits, start=2)}
        return {STUDENT: student.logits, **branches}
