"""Students that learn from the best of what the group says."""

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.schemes.base import Lesson, Pair, Scheme, Step, logits_only
from kd.schemes.group import learners, mean_of_logits, mean_of_probabilities, peers_of, saying
from models.blueprint import Blueprint
from models.heads import ONE_CLASS
from models.output import Spec
from potstill.errors import UserError

GROUP, GENERAL = "group", "general"


class Collaborative(Scheme):
    """Every network learns from the labels and from one soft target that the whole group makes with their help (KDCL).

    Paper: Guo et al., "Online Knowledge Distillation via Collaborative Learning", CVPR 2020. Rows without label are
    left out but by `general`.

    Args:
        target: `naive`: the member with the lowest loss, row by row; `linear`: the convex mean of logits with the
            lowest loss, batch by batch; `minlogit`: the least of the members' logits, each less that of the true class;
            `general`: the mean of probabilities with the lowest squared error on the validation rows, found anew after
            every validation; until the first one all count alike.
        peers: networks beside the student, by name; one more copy of the student where empty.
    """

    suits = frozenset({ONE_CLASS})

    def __init__(self, target: str = "minlogit", peers: Mapping[str, Blueprint] | None = None):
        super().__init__()
        if target not in (known := (*TARGETS, GENERAL)):
            raise UserError(f"scheme.target: {target!r} is none of {', '.join(known)}")
        self.target, self.takes_unlabelled = target, target == GENERAL
        self._peers = peers_of(peers)
        count = len(learners(self))
        self.register_buffer("shares", torch.full((count,), 1 / count))
        self.register_buffer("errors", torch.zeros(count, count), persistent=False)

    def peers(self) -> Mapping[str, Blueprint | None]:
        return self._peers

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        names = learners(self)
        return [Pair(name, specs[name], GROUP, logits_only(specs[name], GROUP), sources=names) for name in names]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        logits = [step.run(pair.learner).logits.detach().float() for pair in pairs]
        if self.target == GENERAL:
            target = mean_of_probabilities(logits, self.get_buffer("shares"))
        else:
            target = TARGETS[self.target](logits, step.batch["labels"])
        for pair in pairs:
            own = step.run(pair.learner)
            yield Lesson(pair, own, saying(target, own))

    def on_validation_batch(self, said: Mapping[str, Tensor], labels: Tensor) -> None:
        logits = torch.stack([said[name].float() for name in learners(self)])
        errors = logits.softmax(-1) - F.one_hot(labels, logits.shape[-1])
        self.get_buffer("errors").add_(torch.einsum("kbc,lbc->kl", errors, errors))

    def on_validation_end(self) -> None:
        errors = self.get_buffer("errors")
        self.get_buffer("shares").copy_(general_shares(errors))
        errors.zero_()


def naive(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Row by row the logits of that member whose cross-entropy is lowest."""
    losses = torch.stack([F.cross_entropy(each, labels, reduction="none") for each in logits])
    return torch.stack(logits)[losses.argmin(0), torch.arange(len(labels), device=labels.device)]


def min_logit(logits: list[Tensor], labels: Tensor) -> Tensor:
    """The members' least logits, after each member's logit of the true class was taken off.

    The true class has 0 then, every other one as little as some member gives it: no member is surer of the truth.
    """
    return torch.stack([each - each.gather(1, labels[:, None]) for each in logits]).amin(0)


def linear(logits: list[Tensor], labels: Tensor, rounds: int = 50) -> Tensor:
    """The convex mean of logits with the lowest cross-entropy.

    The weights are found by exponentiated gradient, which keeps them positive and summing to 1.
    """
    gold = F.one_hot(labels, logits[0].shape[1]).float()
    stacked, weights = torch.stack(logits), logits[0].new_full((len(logits),), 1 / len(logits))
    for _ in range(rounds):
        errors = (torch.einsum("k,kbc->bc", weights, stacked).softmax(-1) - gold) / len(labels)
        slope = torch.einsum("kbc,bc->k", stacked, errors)
        weights = (weights.log() - slope / slope.abs().max().clamp(min=1)).softmax(0)
    return mean_of_logits(logits, weights)


def general_shares(errors: Tensor) -> Tensor:
    """Of each member in the mean whose squared error is lowest; none is below 0, which the paper leaves open.

    Args:
        errors: `[K, K]`, sums of products of the members' errors.
    """
    matrix = errors.double() + 1e-6 * errors.diagonal().mean().clamp(min=1e-12) * torch.eye(len(errors)).to(errors)
    shares, members = torch.zeros(len(errors)).to(matrix), torch.arange(len(errors), device=errors.device)
    while True:
        found = torch.linalg.solve(matrix[members][:, members], matrix.new_ones(len(members)))
        if (found >= 0).all():
            shares[members] = found / found.sum()
            return shares.to(errors)
        members = members[torch.arange(len(members), device=errors.device) != found.argmin()]


TARGETS: dict[str, Callable[[list[Tensor], Tensor], Tensor]] = {
    "naive": naive,
    "linear": linear,
    "minlogit": min_logit,
}
