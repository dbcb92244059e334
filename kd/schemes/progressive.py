"""A network that learns from what it said of the same examples an epoch ago."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from kd import ranks
from kd.moment import Moment
from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step, logits_only
from kd.schemes.group import saying
from models.heads import ONE_CLASS
from models.output import Spec
from potstill.errors import UserError

BEFORE = "before"
SMALLEST = 1e-12


class Progressive(Scheme):
    """The student's targets move from the labels towards its own predictions of the epoch before (PS-KD).

    Paper: Kim et al., "Self-Knowledge Distillation with Progressive Refinement of Targets", 2021, arXiv 2006.12000:
    in epoch t of E the target is `(1 - a) label + a prediction`, `a = weight * t / E`. As in the authors' code,
    predictions are those made in training, dropout and all; in the first epoch the labels stand for them. A row
    without label has no target in the first epoch, and its own predictions, weighted with a, from then on.

    The predictions of an epoch, C numbers a row, are part of the checkpoint.

    Args:
        weight: of the predictions in the last epoch.
    """

    suits = frozenset({ONE_CLASS})

    def __init__(self, weight: float = 0.8):
        super().__init__()
        if not 0 <= weight <= 1:
            raise UserError(f"scheme.weight: {weight} is not a number from 0 to 1")
        self.weight = weight
        self._before: tuple[Tensor, Tensor] | None = None  # ids in order, and what was said of them
        self._now: list[tuple[Tensor, Tensor]] = []
        self._epoch = 0

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student = specs[STUDENT]
        return [Pair(STUDENT, student, BEFORE, logits_only(student, BEFORE), sources=())]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        student, share = step.run(STUDENT), self.share(step.moment)
        said = self.probabilities(step.batch, student.logits.detach().float().softmax(-1))
        for pair in pairs:
            yield Lesson(pair, student, saying(said.clamp(min=SMALLEST).log(), student), share, 1 - share)

    def after_batch(self, step: Step) -> None:
        said = step.run(STUDENT).logits.detach().float().softmax(-1)
        self._now.append((step.batch["id"].cpu(), said.cpu()))

    def at(self, moment: Moment) -> None:
        if moment.epoch != self._epoch:
            self._turn()
            self._epoch = moment.epoch

    def _turn(self) -> None:
        """What is said now becomes what was said before."""
        parts = ranks.gathered(self._now)
        ids, said = (torch.cat(some) for some in zip(*parts, strict=True))
        order = ids.argsort()
        self._before, self._now = (ids[order], said[order]), []

    def share(self, moment: Moment) -> float:
        return self.weight * (moment.epoch + 1) / moment.epochs

    def probabilities(self, batch: Mapping[str, Any], own: Tensor) -> Tensor:
        """What was said of these rows an epoch ago; else the label, else what is said of them now."""
        labels = batch["labels"]
        gold = F.one_hot(labels.clamp(min=0), own.shape[-1]).to(own.dtype)
        said = torch.where((labels >= 0)[:, None], gold, own)
        if self._before is None:
            return said
        ids, before = self._before
        wanted = batch["id"].cpu()
        places = torch.searchsorted(ids, wanted).clamp(max=len(ids) - 1)
        found = (ids[places] == wanted).to(said.device)
        return torch.where(found[:, None], before[places].to(said.device), said)

    def get_extra_state(self) -> dict[str, Any]:
        return {"before": self._before, "now": ranks.gathered(self._now), "epoch": self._epoch}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._before, self._epoch = state["before"], state["epoch"]
        self._now = list(state["now"]) if ranks.is_first() else []  # what all ranks saw comes together again
