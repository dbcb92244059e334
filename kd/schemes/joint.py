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

    Each has a learning rate of its own. What the tutor says is a constant for the student's loss; with `feedback`
    the tutor learns from the student as well, as in mutual learning (Zhang et al., 2018, arXiv 1706.00384).

    Args:
        tutor: the larger network.
        learning_rate: of the tutor.
        feedback: weight of what the tutor takes from the student.
    """

    def __init__(self, tutor: Pretrained | None, learning_rate: float, feedback: float = 0.0):
        super().__init__()
        if tutor is None:
            raise UserError("teacher=none: scheme=joint trains the teacher's network beside the student; choose one")
        if feedback < 0:
            raise UserError(f"scheme.feedback: {feedback} is not a number from 0 on")
        self.tutor, self.feedback = replace(tutor, learning_rate=learning_rate), feedback

    def peers(self) -> Mapping[str, Blueprint | None]:
        return {TUTOR: self.tutor}

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student, tutor = specs[STUDENT], specs[TUTOR]
        up = Pair(TUTOR, tutor, STUDENT, student) if self.feedback else Pair(TUTOR, tutor)
        return [Pair(STUDENT, student, TUTOR, tutor), up]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        for pair in pairs:
            teacher = step.run(pair.teacher).detach() if pair.teacher else None
            yield Lesson(pair, step.run(pair.learner), teacher, self.feedback if pair.learner == TUTOR else 1.0)
