"""From lessons to a loss: label loss and weighted knowledge terms, each by name."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from kd.knowledge.base import Knowledge
from kd.moment import Moment
from kd.probe import why_not
from kd.schedule import Constant
from kd.schemes.base import Lesson, Pair
from models.output import LOGITS, Fields
from potstill.errors import UserError

Terms = dict[str, Knowledge]


def fitting_terms(pair: Pair, make_terms: Callable[[], Terms]) -> tuple[Terms, list[str]]:
    """The terms that a pair takes and that work between its two, and a note for each optional one left out.

    Raises:
        UserError: a term that is not optional does not fit, or none is left.
    """
    if pair.teacher_spec is None:
        return {}, []
    terms, notes = {}, []
    for name, term in make_terms().items():
        if not _taken(pair, term):
            continue
        reason = why_not(term, pair.learner_spec, pair.teacher_spec)
        if reason is None:
            terms[name] = term
        elif term.optional:
            notes.append(f"{pair}: {name} left out, {reason}")
        else:
            raise UserError(f"kd.terms.{name}: cannot work for {pair}: {reason}")
    if notes and not terms:
        raise UserError("kd: no term can work: " + "; ".join(notes))
    return terms, notes


def _taken(pair: Pair, term: Knowledge) -> bool:
    if pair.takes == "any" or pair.teacher_spec is None:
        return True
    try:
        read = term.requires(pair.learner_spec, pair.teacher_spec)[1]
    except UserError:  # a pairing of layers that these depths do not allow
        return pair.takes == "inside"
    return (read == {LOGITS}) == (pair.takes == "logits")


def required_fields(pairs: list[Pair], terms: Mapping[str, Terms]) -> dict[str, Fields]:
    """What each network has to give so that every term of every pair finds what it reads, by the network's name."""
    fields: dict[str, Fields] = {}
    for pair in pairs:
        if pair.teacher_spec is None:
            continue
        for term in terms[str(pair)].values():
            learners, teachers = term.requires(pair.learner_spec, pair.teacher_spec)
            sides = [(pair.network or pair.learner, learners), *((name, teachers) for name in pair.teachers)]
            for name, some in sides:
                fields[name] = fields.get(name, frozenset()) | some
    return fields


class Objective(nn.Module):
    """Adds up what a lesson costs.

    Args:
        terms: the connected terms of each pair, by the pair's name.
        label_loss: of logits and labels; rows without label cost nothing.
        label_weight: of the label loss.
    """

    def __init__(self, terms: Mapping[str, Terms], label_loss: Callable[[Tensor, Tensor], Tensor], label_weight: float):
        super().__init__()
        self.terms = nn.ModuleDict({pair: nn.ModuleDict(dict(some)) for pair, some in terms.items()})
        self.label_loss, self.label_weight = label_loss, label_weight

    def forward(self, lesson: Lesson, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        """The weighted parts of the loss by name: `label_loss/<learner>`, `kd/<term>/<pair>`.

        Computed in float32 with autocast off, whatever precision the models ran in.
        """
        pair, labels = lesson.pair, batch["labels"]
        with torch.autocast(labels.device.type, enabled=False):
            learner = lesson.learner.float()
            losses = {}
            if weight := self.label_weight * lesson.label_weight:
                losses[f"label_loss/{pair.learner}"] = weight * self.label_loss(learner.given(labels), labels)
            if lesson.teacher is not None:
                teacher = lesson.teacher.float()
                terms = cast(nn.ModuleDict, self.terms[str(pair)])
                for name, term in terms.items():
                    weight = lesson.weight * cast(Knowledge, term).weight
                    losses[f"kd/{name}/{pair}"] = weight * term(learner, teacher, batch)
        return losses

    def moving(self) -> dict[str, float]:
        """What follows a schedule, as it is now, by name: `weight/<term>`, `temperature/<term>`."""
        terms = (item for some in self.terms.values() for item in cast(nn.ModuleDict, some).items())
        return {
            f"{attribute}/{name}": getattr(term, attribute)
            for name, term in terms
            for attribute, schedule in cast(Knowledge, term).schedules.items()
            if not isinstance(schedule, Constant)
        }

    def at(self, moment: Moment) -> None:
        """Let every term follow its schedule."""
        for some in self.terms.values():
            for term in cast(nn.ModuleDict, some).values():
                cast(Knowledge, term).at(moment)
