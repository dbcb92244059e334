"""The contract of a knowledge term."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from models.output import ModelOutput, Spec
from potstill.errors import UserError


class Knowledge(nn.Module, ABC):
    """One thing a learner takes from a teacher, as a loss.

    A term is made from its config, asked whether it `fits` two models that have no weights yet,
    connected to them (which makes its projections, should it need any), and then called with what
    both say of a batch. It reads nothing but what it `requires`, and works in float32.

    Args:
        weight: of the term in the loss, not negative.
        optional: leave the term out where it does not fit, instead of refusing the run.
    """

    requires: ClassVar[frozenset[str]]

    def __init__(self, weight: float = 1.0, optional: bool = False):
        super().__init__()
        if not isinstance(weight, int | float) or weight < 0:
            raise UserError(f"kd.terms: weight {weight!r} is not a number from 0 on")
        self.weight, self.optional = weight, optional

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        """Why the term cannot work between the two, in one line; None where it can."""
        for role, spec in (("learner", learner), ("teacher", teacher)):
            for field in sorted(self.requires - spec.provides):
                return f"the {role} ({spec.kind}) gives no {field.replace('_', ' ')}"
        return None

    def connect(self, learner: Spec, teacher: Spec) -> None:
        """Make what depends on the two models' sizes."""

    def describe(self, learner: Spec, teacher: Spec) -> str:
        """What is compared with what, for the plan."""
        return ""

    @abstractmethod
    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        """The loss, a scalar; the teacher's tensors come detached unless its scheme says otherwise."""


def other_tokenizer(learner: Spec, teacher: Spec) -> str | None:
    """Why token by token comparison cannot work between the two; None where it can."""
    if learner.tokenizer == teacher.tokenizer:
        return None
    return "tokens are compared one by one, but learner and teacher have different tokenizers (student.vocabulary)"
