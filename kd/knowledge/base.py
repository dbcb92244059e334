"""The contract of a knowledge term."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from kd.knowledge.alignment import Alignment, ByWord
from kd.moment import Moment
from kd.schedule import Constant, Schedule, schedule_of
from models.output import LOGITS, Fields, ModelOutput, Spec


class Knowledge(nn.Module, ABC):
    """One thing a learner takes from a teacher, as a loss.

    A term is made from its config, asked whether it `fits` two models that have no weights yet,
    connected to them (which makes its projections, should it need any), and then called with what
    both say of a batch. It reads nothing but what it `requires`, and works in float32.

    Args:
        weight: of the term in the loss, not negative: a number, or a `kd.schedule.Schedule`.
        optional: leave the term out where it does not fit, instead of refusing the run.
    """

    def __init__(self, weight: float | Schedule = 1.0, optional: bool = False):
        super().__init__()
        self.schedules: dict[str, Schedule] = {}
        self.weight = self.follow("weight", weight)
        self.optional = optional
        self.alignment = Alignment()

    @property
    def by_word(self) -> bool:
        """Whether learner and teacher meet in words, once connected."""
        return isinstance(self.alignment, ByWord)

    def follow(self, name: str, value: float | Schedule, zero: bool = True) -> float:
        """Let the attribute `name` be this number, or follow this schedule; gives what it is at first."""
        self.schedules[name] = schedule_of(value, f"kd.terms: {name}", zero)
        return self.schedules[name](Moment())

    def requires(self, learner: Spec, teacher: Spec) -> tuple[Fields, Fields]:
        """The tensors that it reads of learner and teacher; of both the logits, unless a term says otherwise."""
        return frozenset({LOGITS}), frozenset({LOGITS})

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        """Why the term cannot work between the two, in one line; None where it can.

        Raises:
            UserError: something it is made of does not allow these two.
        """
        learners, teachers = self.requires(learner, teacher)
        for role, spec, fields in (("learner", learner, learners), ("teacher", teacher, teachers)):
            for name in sorted({field.name for field in fields} - spec.provides):
                return f"the {role} ({spec.kind}) gives no {name.replace('_', ' ')}"
        return None

    def connect(self, learner: Spec, teacher: Spec) -> None:
        """Make what depends on the two models' sizes."""

    def at(self, moment: Moment) -> None:
        """Follow the schedules."""
        for name, schedule in self.schedules.items():
            setattr(self, name, schedule(moment))

    def describe(self, learner: Spec, teacher: Spec) -> str:
        """What is compared with what, for the plan."""
        return ""

    def moves(self) -> str:
        """How the weight changes while the run goes on, for the plan; nothing where it does not."""
        schedule = self.schedules["weight"]
        return "" if isinstance(schedule, Constant) else f"weight {schedule}"

    @abstractmethod
    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        """The loss, a scalar; the teacher's tensors come detached unless its scheme says otherwise."""
