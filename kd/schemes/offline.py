"""A frozen teacher and one student."""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from kd.schemes.base import STUDENT, TEACHER, Lesson, Pair, Run, Scheme
from models.output import Spec


class Offline(Scheme):
    """The student learns from a teacher that no longer does (Hinton et al., 2015, arXiv 1503.02531).

    Without a teacher, or with `kd=none`, it learns from the labels alone.
    """

    needs_teacher: ClassVar[bool] = True

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        return [Pair(STUDENT, specs[STUDENT], TEACHER, specs[TEACHER])]

    def lessons(self, pairs: list[Pair], run: Run) -> Iterator[Lesson]:
        for pair in pairs:
            yield Lesson(pair, run(STUDENT), run(TEACHER))


class Alone(Scheme):
    """One network and the labels: how a teacher is fine-tuned and how the baseline is trained."""

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        return [Pair(STUDENT, specs[STUDENT])]

    def lessons(self, pairs: list[Pair], run: Run) -> Iterator[Lesson]:
        for pair in pairs:
            yield Lesson(pair, run(STUDENT))
