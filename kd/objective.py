"""From lessons to a loss: label loss and weighted knowledge terms, each by name."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from kd.knowledge.base import Knowledge
from kd.schemes.base import Lesson, Pair
from models.output import Fields
from potstill.errors import UserError

Terms = dict[str, Knowledge]


def fitting_terms(pair: Pair, make_terms: Callable[[], Terms]) -> tuple[Terms, list[str]]:
    """The terms that work between the two of a pair, and a note for each optional one left out.

    Raises:
        UserError: a term that is not optional does not fit, or none is left.
    """
    if pair.teacher_spec is None:
        return {}, []
    terms, notes = {}, []
    for name, term in make_terms().items():
        reason = term.fits(pair.learner_spec, pair.teacher_spec)
        if reason is None:
            terms[name] = term
        elif term.optional:
            notes.append(f"{pair}: {name} left out, {reason}")
        else:
            raise UserError(f"kd.terms.{name}: cannot work for {pair}: {reason}")
    if notes and not terms:
        raise UserError("kd: no term can work: " + "; ".join(notes))
    return terms, notes


def required_fields(pairs: list[Pair], terms: Mapping[str, Terms]) -> dict[str, Fields]:
    """What each network has to give so that every term of every pair finds what it reads, by the network's name."""
    fields: dict[str, Fields] = {}
    for pair in pairs:
        if pair.teacher is None or pair.teacher_spec is None:
            continue
        for term in terms[str(pair)].values():
            learners, teachers = term.requires(pair.learner_spec, pair.teacher_spec)
            for name, some in ((pair.network or pair.learner, learners), (pair.teacher, teachers)):
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
            if self.label_weight:
                losses[f"label_loss/{pair.learner}"] = self.label_weight * self.label_loss(learner.logits, labels)
            if lesson.teacher is not None:
                teacher = lesson.teacher.float()
                terms = cast(nn.ModuleDict, self.terms[str(pair)])
                for name, term in terms.items():
                    losses[f"kd/{name}/{pair}"] = term.weight * term(learner, teacher, batch)
        return {name: lesson.weight * loss for name, loss in losses.items()}
