"""A network whose early exits learn from its deepest one."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from kd.schemes.base import STUDENT, Lesson, Pair, Run, Scheme
from models.output import ModelOutput, Spec
from potstill.errors import UserError


class SelfDistillation(Scheme):
    """Exits after intermediate layers learn from labels and from the deepest exit, which learns from labels.

    Paper: Zhang et al., "Be Your Own Teacher", 2019, arXiv 1905.08094. What an exit hands back as
    its features are the hidden states up to its layer; those of the deepest exit are constants.

    Args:
        weight: of each exit's lesson beside the deepest one's; the paper has 1.
    """

    def __init__(self, weight: float = 1.0):
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

    def lessons(self, pairs: list[Pair], run: Run) -> Iterator[Lesson]:
        output = run(STUDENT)
        teacher = output.detach()
        for pair in pairs:
            if pair.teacher is None:
                yield Lesson(pair, output)
            else:
                yield Lesson(pair, output.at_exit(pair.learner_spec.layers - 1), teacher, self.weight)

    def predictions(self, outputs: Mapping[str, ModelOutput]) -> dict[str, Tensor]:
        exits = {f"exit{layer}": logits for layer, logits in enumerate(outputs[STUDENT].exits, start=1)}
        return super().predictions(outputs) | exits
