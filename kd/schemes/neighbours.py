"""A network whose targets follow from how near its own vectors of the tags lie."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from data.task import IGNORED
from kd.moment import Moment
from kd.schedule import Linear, Schedule, schedule_of
from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step, logits_only
from kd.schemes.group import saying
from models.heads import TAGS
from models.network import Network
from models.output import Spec
from potstill.errors import UserError

NEIGHBOURS = "neighbours"
SMALLEST = 1e-30
UP_TO_A_HALF = Linear(end=0.5)


class Neighbours(Scheme):
    """Where the student is wrong, some of the target goes to what it says, the more, the nearer that is to the truth.

    After Hahn & Choi, "Self-Knowledge Distillation in Natural Language Processing", 2019, arXiv 1908.01851: soft
    targets from the space right below the softmax, approximated by the true and the predicted entry. Nearness is ours,
    since the paper's was not to be had: half of `exp(-d)`, d the distance of the two rows of the last layer in units of
    the mean distance of all. The paper has words of language models and of translation; here there are tags, and texts
    with one class are refused.

    Args:
        weight: of these targets, the labels having the rest of 1; from nothing to a half, since the rows tell nothing
            at first.
    """

    takes_unlabelled = False
    suits = frozenset({TAGS})

    def __init__(self, weight: float | Schedule = UP_TO_A_HALF):
        super().__init__()
        self.weight = schedule_of(weight, "scheme.weight")
        if any(self.weight.after(share / 100) > 1 for share in range(101)):
            raise UserError(f"scheme.weight: {self.weight} is above 1")
        self._vectors: Tensor | None = None

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student = specs[STUDENT]
        return [Pair(STUDENT, student, NEIGHBOURS, logits_only(student, NEIGHBOURS), sources=())]

    def share(self, moment: Moment) -> float:
        return self.weight(moment)

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        student, labels = step.run(STUDENT), step.batch["labels"]
        share = self.share(step.moment)
        said = saying(self.targets(labels, student.logits.detach().float()).clamp(min=SMALLEST).log(), student)
        for pair in pairs:
            yield Lesson(pair, student, replace(said, rows=labels != IGNORED), share, 1 - share)

    def after_update(self, networks: Mapping[str, Network], copies: Mapping[str, Network], moment: Moment) -> None:
        self._vectors = networks[STUDENT].class_vectors().detach().clone()

    def targets(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Probabilities `[..., C]`: of the true class, and of the predicted one where that is another."""
        true, said, classes = labels.clamp(min=0), logits.argmax(-1), logits.shape[-1]
        share = self.nearness(logits)[true, said].unsqueeze(-1)
        return F.one_hot(true, classes) * (1 - share) + F.one_hot(said, classes) * share

    def nearness(self, like: Tensor) -> Tensor:
        """How much of the target `[C, C]` goes from a class to another: at most a half; nothing to itself."""
        classes = like.shape[-1]
        if self._vectors is None:
            return like.new_zeros(classes, classes)
        vectors = self._vectors.to(like)
        distances = torch.cdist(vectors, vectors)
        mean = distances.sum() / (classes * (classes - 1))
        return torch.exp(-distances / mean.clamp(min=SMALLEST)) / 2 * ~torch.eye(classes, device=like.device).bool()

    def get_extra_state(self) -> dict[str, Any]:
        return {"vectors": self._vectors}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self._vectors = state["vectors"]
