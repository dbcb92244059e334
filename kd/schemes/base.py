"""The contract of a scheme."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from models.blueprint import Blueprint
from models.output import ModelOutput, Spec

STUDENT, TEACHER = "student", "teacher"

Run = Callable[[str], ModelOutput]


@dataclass(frozen=True)
class Pair:
    """Who learns from whom.

    Args:
        learner, learner_spec: who learns.
        teacher, teacher_spec: from whom; nobody where it learns from labels alone.
        network: of which the learner is a part; None where it is one itself.
    """

    learner: str
    learner_spec: Spec
    teacher: str | None = None
    teacher_spec: Spec | None = None
    network: str | None = None

    def __str__(self) -> str:
        return f"{self.learner}<-{self.teacher or 'labels'}"


@dataclass(frozen=True)
class Lesson:
    """What both of a pair say of a batch, and how much it counts."""

    pair: Pair
    learner: ModelOutput
    teacher: ModelOutput | None = None
    weight: float = 1.0


class Scheme(ABC):
    """Declares its pairs up front and makes lessons of each batch.

    Everything that trains is called by a name; the one called `student` is saved and reported.
    """

    needs_teacher: ClassVar[bool] = False

    def peers(self) -> Mapping[str, Blueprint | None]:
        """Networks that train beside the student; None stands for another copy of it."""
        return {}

    def exits(self, specs: Mapping[str, Spec]) -> tuple[int, ...]:
        """The student's layers after which an early exit is put."""
        return ()

    @abstractmethod
    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        """Who learns from whom, known from the specs of all networks.

        Raises:
            UserError: these networks do not suit the scheme.
        """

    @abstractmethod
    def lessons(self, pairs: list[Pair], run: Run) -> Iterator[Lesson]:
        """The lessons of one batch.

        Args:
            pairs: as declared.
            run: gives a network's output for this batch by the network's name; the teacher's comes detached.
        """

    def predictions(self, outputs: Mapping[str, ModelOutput]) -> dict[str, Tensor]:
        """The logits that are scored in validation, by name."""
        return {name: output.logits for name, output in outputs.items()}
