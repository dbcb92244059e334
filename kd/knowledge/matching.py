"""What paired layers cost together: the sum of all pairs, or of those that a method chooses or weighs meanwhile."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from kd import ranks
from kd.knowledge.pairing import Pairs
from potstill.errors import UserError

Compare = Callable[[Tensor, Tensor], Tensor]  # states `[B, ..., H]` of learner and teacher to a loss
States = Mapping[int, Tensor]  # by layer


class Matching(nn.Module, ABC):
    """Decides which of the paired layers are compared, and how much each pair counts.

    What it remembers (buffers) is part of the checkpoint.
    """

    def refusal(self, pairs: Pairs) -> str | None:
        """Why nothing can be made of these pairs; None where it can."""
        return None

    def connect(self, pairs: Pairs) -> None:
        """Get to know the pairs."""
        self.pairs = pairs

    @abstractmethod
    def forward(self, learner: States, teacher: States, compare: Compare) -> Tensor:
        """The loss of states that are already of one width, by layer; those of the teacher without gradient."""


class Sum(Matching):
    """All pairs, each as it is."""

    def forward(self, learner: States, teacher: States, compare: Compare) -> Tensor:
        return torch.stack([compare(learner[mine], teacher[its]) for mine, its in self.pairs]).sum()


class RandomChoice(Matching):
    """For each of the learner's layers another one of the teacher's, drawn anew for each batch, in ascending order.

    Paper: Haidar et al., "RAIL-KD: RAndom Intermediate Layer Mapping for Knowledge Distillation", 2022, arXiv
    2109.10164, which draws for each epoch. Meant for the pairing `every` or `every_below_top`.
    """

    def refusal(self, pairs: Pairs) -> str | None:
        mine, its = sides(pairs)
        few = f"{len(mine)} layers cannot draw from {len(its)}" if len(mine) > len(its) else None
        return not_whole(pairs) or few

    def connect(self, pairs: Pairs) -> None:
        super().connect(pairs)
        self.mine, self.its = sides(pairs)

    def forward(self, learner: States, teacher: States, compare: Compare) -> Tensor:
        drawn = sorted(self.its[number] for number in torch.randperm(len(self.its))[: len(self.mine)].tolist())
        return torch.stack(
            [compare(learner[mine], teacher[its]) for mine, its in zip(self.mine, drawn, strict=True)]
        ).sum()


class AttentionWeighted(Matching):
    """Each of the learner's layers with a mixture of its partners, weighted by the softmax of their dot products.

    Paper: Passban et al., "ALP-KD: Attention-Based Layer Projection for Knowledge Distillation", 2021, arXiv
    2012.14022. The gradient reaches the weights, too. Meant for the pairing `every`.

    Args:
        scaled: divide the dot products by the root of the width, without which the mixture of vectors of some hundred
            numbers is one partner alone. Public reimplementations differ in this; not checked against the paper.
    """

    def __init__(self, scaled: bool = True):
        super().__init__()
        self.scaled = scaled

    def forward(self, learner: States, teacher: States, compare: Compare) -> Tensor:
        losses = []
        for layer in dict.fromkeys(mine for mine, _ in self.pairs):
            ours = learner[layer]
            theirs = torch.stack([teacher[its] for mine, its in self.pairs if mine == layer])
            scores = (ours * theirs).sum(-1, keepdim=True) / (math.sqrt(ours.shape[-1]) if self.scaled else 1)
            losses.append(compare(ours, (scores.softmax(0) * theirs).sum(0)))
        return torch.stack(losses).sum()


class OptimalTransport(Matching):
    """Every layer with every layer, each pair as much as the cheapest transport between the two sets moves there.

    Paper: Li et al., "BERT-EMD: Many-to-Many Layer Mapping for BERT Compression with Earth Mover's Distance", 2020,
    arXiv 2010.06133. As in the authors' code since 2021, layers that are cheap to match get more weight after each
    batch, in inverse proportion to their cost (the paper has a softmax). The transport is found on the device, by
    Sinkhorn's iteration (Cuturi, 2013, arXiv 1306.0895), not by an exact solver.

    Args:
        smoothing: of the transport, in units of the mean cost: less is nearer to the exact one and takes more rounds.
        rounds: of the iteration.
    """

    learner_weights: Tensor
    teacher_weights: Tensor

    def __init__(self, smoothing: float = 0.05, rounds: int = 100):
        super().__init__()
        if not smoothing > 0 or not isinstance(rounds, int) or rounds < 1:
            raise UserError(f"kd.terms: {rounds!r} rounds with smoothing {smoothing!r} find no transport")
        self.smoothing, self.rounds = smoothing, rounds

    def refusal(self, pairs: Pairs) -> str | None:
        return not_whole(pairs)

    def connect(self, pairs: Pairs) -> None:
        super().connect(pairs)
        self.mine, self.its = sides(pairs)
        self.register_buffer("learner_weights", torch.full((len(self.mine),), 1 / len(self.mine)))
        self.register_buffer("teacher_weights", torch.full((len(self.its),), 1 / len(self.its)))

    def forward(self, learner: States, teacher: States, compare: Compare) -> Tensor:
        costs = torch.stack(
            [torch.stack([compare(learner[mine], teacher[its]) for its in self.its]) for mine in self.mine]
        )
        known = ranks.mean(costs.detach())
        flow = transport(known, self.learner_weights, self.teacher_weights, self.smoothing, self.rounds)
        if torch.is_grad_enabled():
            self.learner_weights = cheaper_more(self.learner_weights, (flow * known).sum(1))
            self.teacher_weights = cheaper_more(self.teacher_weights, (flow * known).sum(0))
        return (flow * costs).sum()


def not_whole(pairs: Pairs) -> str | None:
    """Why a method that takes any layer with any cannot; None where it can."""
    mine, its = sides(pairs)
    whole = len(set(pairs)) == len(mine) * len(its)
    return None if whole else "each layer has to be paired with all of the others'; take the pairing every"


def sides(pairs: Pairs) -> tuple[list[int], list[int]]:
    """The paired layers of the learner and of the teacher, in order."""
    mine, its = zip(*pairs, strict=True)
    return sorted(set(mine)), sorted(set(its))


def transport(costs: Tensor, rows: Tensor, columns: Tensor, smoothing: float, rounds: int) -> Tensor:
    """The smoothed cheapest flow `[M, L]` with these sums of rows and of columns, whose totals agree."""
    kernel = -costs / (smoothing * costs.mean()).clamp(min=1e-12)
    over, under = torch.zeros_like(rows), torch.zeros_like(columns)
    for _ in range(rounds):
        over = rows.log() - (kernel + under).logsumexp(1)
        under = columns.log() - (kernel + over.unsqueeze(1)).logsumexp(0)
    return (kernel + over.unsqueeze(1) + under).exp()


def cheaper_more(weights: Tensor, spent: Tensor) -> Tensor:
    """Weights that sum to one, in inverse proportion to what each layer spent a unit of weight."""
    each = (spent / weights).clamp(min=1e-12)
    shares = (1 / each) / (1 / each).sum()
    return torch.where(shares.isfinite().all(), shares, weights)  # an overflow is not to be remembered
