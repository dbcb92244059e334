"""Several frozen teachers and one student."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kd.schemes.base import CLASSES, STUDENT, TEACHER, Lesson, Pair, Scheme, Step, logits_only
from kd.schemes.group import check_names, choosable, mean_of_logits, mean_of_probabilities, saying
from models.output import LOGITS, Fields, ModelOutput, Spec
from potstill.errors import UserError

MIXTURE = "mixture"
AVERAGES, WEIGHTS = ("probabilities", "logits"), ("equal", "confidence", "learned")


class Ensemble(Scheme):
    """The student learns from what several frozen teachers say together, and from what is inside each of them.

    Terms that read logits alone compare the student with the teachers' weighted mean; every other term compares it
    with each teacher, and its loss is the mean over teachers. Each teacher has a tokenizer and a store of its own.

    Averaging softened probabilities is Hinton et al.'s (2015, arXiv 1503.02531); averaging logits is what TextBrewer
    does. Weights by confidence are the softmax of the negative entropies, row by row. Learned ones are trained
    with the student, by the label loss of the mixture.

    Args:
        teachers: beside the run's own, by name; the same one fine-tuned with another seed where empty.
        average: `probabilities` or `logits`.
        weights: `equal`, `confidence` or `learned`.
        temperature: at which probabilities are averaged: that of the response term.
        include_own: whether the run's own teacher teaches too; if not, the student only starts from it.
    """

    needs_teacher: ClassVar[bool] = True
    learning_rate: ClassVar[float] = 1e-2  # a rate that suits an encoder would leave a few numbers where they are

    def __init__(
        self,
        teachers: Mapping[str, Any] | None = None,
        average: str = "probabilities",
        weights: str = "equal",
        temperature: float = 1.0,
        include_own: bool = True,
    ):
        super().__init__()
        check_names("scheme.teachers", teachers or {})
        for key, value, known in (("average", average, AVERAGES), ("weights", weights, WEIGHTS)):
            if value not in known:
                raise UserError(f"scheme.{key}: {value!r} is none of {', '.join(known)}")
        if not temperature > 0:
            raise UserError(f"scheme.temperature: {temperature} is not above 0")
        self._teachers = dict(teachers) if teachers else {"second": None}
        self._members = (*([TEACHER] if include_own else []), *self._teachers)
        self.average, self.weighted, self.temperature = average, weights, temperature
        self.suits = CLASSES if average == "probabilities" or weights == "confidence" else None
        if weights == "learned":
            self.preference = nn.Parameter(torch.zeros(len(self._members)))

    def teachers(self) -> Mapping[str, Any]:
        return self._teachers

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student, members = specs[STUDENT], self._members
        mixture = logits_only(specs[TEACHER], MIXTURE)
        together = Pair(STUDENT, student, MIXTURE, mixture, sources=members, takes="logits")
        apart = [Pair(STUDENT, student, name, specs[name], takes="inside") for name in members]
        own = [Pair(MIXTURE, mixture)] if self.weighted == "learned" else []
        return [together, *apart, *own]

    def requires(self, specs: Mapping[str, Spec]) -> Mapping[str, Fields]:
        return dict.fromkeys(self._members, frozenset({LOGITS}))

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        student, members = step.run(STUDENT), [step.run(name) for name in self._members]
        mixture = choosable(self.mixture([member.logits for member in members]), members)
        for pair in pairs:
            if pair.learner == MIXTURE:
                yield Lesson(pair, ModelOutput(mixture, student.mask))
            elif pair.teacher == MIXTURE:
                yield Lesson(pair, student, saying(mixture, student, members))
            else:
                assert pair.teacher is not None
                yield Lesson(pair, student, step.run(pair.teacher), 1 / len(self._members), 0.0)

    def mixture(self, logits: list[Tensor]) -> Tensor:
        """What the teachers say together, `[B, C]`."""
        weights = self._weights(logits)
        if self.average == "logits":
            return mean_of_logits(logits, weights)
        return mean_of_probabilities(logits, weights, self.temperature)

    def _weights(self, logits: list[Tensor]) -> Tensor | None:
        match self.weighted:
            case "learned":
                return self.preference.softmax(0)
            case "confidence":
                entropies = [torch.distributions.Categorical(logits=each.float()).entropy() for each in logits]
                return torch.stack(entropies, dim=-1).neg().softmax(-1)
            case _:
                return None
