"""A network whose early exits learn from its deepest one."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor

from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step
from models.output import ModelOutput, Spec
from potstill.errors import UserError


class SelfDistillation(Scheme):
    """Exits after intermediate layers learn from labels and from the deepest exit, which learns from labels.

    Paper: Zhang et al., "Be Your Own Teacher", 2019, arXiv 1905.08094. What an exit hands back as
    its features are the hidden states up to its layer; those of the deepest exit are constants. The paper gives no
    value for its weights; 0.3 is that of the authors' later code, which also has T = 3, and 0.03 for the hint at
    features: here each term has its own weight and temperature.

    Args:
        weight: of what an exit learns from the deepest one; the labels have the rest of 1.
    """

    keeps_exits: ClassVar[bool] = True

    def __init__(self, weight: float = 0.3):
        super().__init__()
        if not 0 <= weight <= 1:
            raise UserError(f"scheme.weight: {weight} is not a number from 0 to 1")
        self.weight = weight

    def exits(self, specs: Mapping[str, Spec]) -> tuple[int, ...]:
        layers = specs[STUDENT].layers
        if layers < 2:
            raise UserError(
                f"scheme=self: the student ({specs[STUDENT].kind}) has {layers} layer, so there is no earlier exit "
                "that could learn; take student.num_hidden_layers=2 or more"
            )
        return tuple(range(1, layers))

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student = specs[STUDENT]
        exits = [Pair(f"exit{layer}", student.at_exit(layer), STUDENT, student, STUDENT) for layer in self.exits(specs)]
        return [Pair(STUDENT, student), *exits]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        output = step.run(STUDENT)
        teacher = output.detach()
        for pair in pairs:
            if pair.teacher is None:
                yield Lesson(pair, output)
            else:
                exit_ = output.at_exit(pair.learner_spec.layers - 1)
                yield Lesson(pair, exit_, teacher, self.weight, 1 - self.weight)

    def predictions(self, outputs: Mapping[str, ModelOutput]) -> dict[str, Tensor]:
        exits = {f"exit{layer}": logits for layer, logits in enumerate(outputs[STUDENT].exits, start=1)}
        return super().predictions(outputs) | exits
