"""A teacher that learns too."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step
from models.blueprint import Blueprint
from models.output import Spec
from models.transformer import Pretrained
from potstill.errors import UserError

TUTOR = "tutor"


class Joint(Scheme):
    """A larger network learns from the labels while the student learns from the labels and from it.

    Each has a learning rate of its own. What the tutor says is a constant for the student's loss. For a tutor that
    learns from the student as well there is `scheme=mutual` (Zhang et al., 2018, arXiv 1706.00384).

    Args:
        tutor: the larger network.
        learning_rate: of the tutor.
    """

    def __init__(self, tutor: Pretrained | None, learning_rate: float):
        super().__init__()
        if tutor is None:
            raise UserError("teacher=none: scheme=joint trains the teacher's network beside the student; choose one")
        self.tutor = replace(tutor, learning_rate=learning_rate)

    def peers(self) -> Mapping[str, Blueprint | None]:
        return {TUTOR: self.tutor}

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student, tutor = specs[STUDENT], specs[TUTOR]
        return [Pair(STUDENT, student, TUTOR, tutor), Pair(TUTOR, tutor)]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        for pair in pairs:
            teacher = step.run(pair.teacher).detach() if pair.teacher else None
            yield Lesson(pair, step.run(pair.learner), teacher)
