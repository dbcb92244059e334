"""A teacher that learns too."""

from collections.abc import Iterator, Mapping

from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step
from models.blueprint import Blueprint
from models.output import Spec

TUTOR = "tutor"


class Joint(Scheme):
    """A larger network learns from the labels while the student learns from the labels and from it.

    Each has a learning rate of its own. What the tutor says is a constant for the student's loss; with `feedback`
    the tutor learns from the student as well, as in mutual learning (Zhang et al., 2018, arXiv 1706.00384).

    Args:
        tutor: the larger network.
        feedback: weight of what the tutor takes from the student.
    """

    def __init__(self, tutor: Blueprint, feedback: float = 0.0):
        super().__init__()
        self.tutor, self.feedback = tutor, feedback

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
