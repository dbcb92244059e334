"""A frozen teacher and one student."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from kd.schemes.base import STUDENT, TEACHER, Lesson, Pair, Scheme, Step
from models.output import Spec

MENTOR = "mentor"


class Offline(Scheme):
    """The student learns from a teacher that no longer does (Hinton et al., 2015, arXiv 1503.02531).

    Without a teacher, or with `kd=none`, it learns from the labels alone.

    Args:
        mentor: who teaches, as `conf/teacher` describes one, where that is not the run's teacher, from which the
            student then only starts.
    """

    needs_teacher: ClassVar[bool] = True

    def __init__(self, mentor: Mapping[str, Any] | None = None):
        super().__init__()
        self.mentor = mentor

    def teachers(self) -> Mapping[str, Any]:
        return {MENTOR: self.mentor} if self.mentor else {}

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        name = MENTOR if self.mentor else TEACHER
        return [Pair(STUDENT, specs[STUDENT], name, specs[name])]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        for pair in pairs:
            assert pair.teacher is not None
            yield Lesson(pair, step.run(STUDENT), step.run(pair.teacher))


class Alone(Scheme):
    """One network and the labels: how a teacher is fine-tuned and how the baseline is trained."""

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        return [Pair(STUDENT, specs[STUDENT])]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        for pair in pairs:
            yield Lesson(pair, step.run(STUDENT))
