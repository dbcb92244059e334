"""Knowledge in which texts are told apart: the learner's vector of a text is to be closest to the teacher's of it."""

from collections.abc import Mapping
from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kd import ranks
from kd.knowledge.feature import Layers, Pairing
from kd.knowledge.pairing import last
from kd.schedule import Schedule
from models.output import ModelOutput, Spec


class InBatchContrast(Layers):
    """Cosines of every text's vector by the learner with every text's by the teacher, each to find its own (InfoNCE).

    Paper: van den Oord et al., "Representation Learning with Contrastive Predictive Coding", 2018, arXiv 1807.03748.
    CoDIR (Sun et al., 2020, arXiv 2009.14167) distils language models in this spirit, with a bank and all layers
    side by side. Both directions, averaged. Both sides' mean states go through linear maps that learn, the
    teacher's too. The texts are those of all processes that share the batch.

    Args:
        dimension: of the space in which the two meet.
        temperature: that divides the cosines.
        pairing: depths of learner and teacher to one pair of layers.
        weight, optional: see `Knowledge`.
    """

    reads = ("mean_states",)
    temperature: float

    def __init__(
        self,
        dimension: int = 128,
        temperature: float | Schedule = 0.07,
        pairing: Pairing = last,
        weight: float | Schedule = 1.0,
        optional: bool = False,
    ):
        super().__init__(pairing, weight, optional)
        self.temperature = self.follow("temperature", temperature, zero=False)
        self.dimension = dimension

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if reason := super().fits(learner, teacher):
            return reason
        pairs = self.pairs_of(learner, teacher)
        return None if len(pairs) == 1 else f"it takes one pair of layers, its pairing gives {len(pairs)}"

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        ((mine, its),) = self.pairs
        self.ours = nn.Linear(learner.widths[mine], self.dimension)
        self.theirs = nn.Linear(teacher.widths[its], self.dimension)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"{super().describe(learner, teacher)}, in {self.dimension} dimensions, T = {self.temperature:g}"

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        ours, theirs = self.met(learner, teacher)
        return self.compare(ranks.joined(ours), ranks.joined(theirs), ranks.joined(batch["id"]))

    def met(self, learner: ModelOutput, teacher: ModelOutput) -> tuple[Tensor, Tensor]:
        """Both sides' vectors `[B, dimension]`, of length one."""
        ((mine, its),) = self.pairs
        vectors = self.ours(learner.mean_states[mine]), self.theirs(teacher.mean_states[its])
        return F.normalize(vectors[0], dim=-1), F.normalize(vectors[1], dim=-1)

    def compare(self, learner: Tensor, teacher: Tensor, ids: Tensor) -> Tensor:
        """The loss of vectors `[N, D]`; texts of the same id `[N]` are not to be told apart."""
        same = (ids.unsqueeze(0) == ids.unsqueeze(1)).fill_diagonal_(False)
        scores = (learner @ teacher.T / self.temperature).masked_fill(same, -torch.inf)
        own = torch.arange(len(ids), device=ids.device)
        return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


class BankContrast(InBatchContrast):
    """The learner's vector of a text beside the teacher's of it and of many texts seen before, and the other way round.

    Paper: Tian et al., "Contrastive Representation Distillation" (CRD), 2020, arXiv 1910.10699: for each pair, is it
    of one text, or is the other drawn at random? (noise-contrastive estimation). The constant that makes scores
    probabilities is fixed by the first batch. The authors keep a running mean of each example's vector, compare
    with the one kept, and draw 16,384 of other classes; here the other side's vector is the present one, and the bank
    holds the last `size` texts of all processes, all of which count. It is part of the checkpoint.

    Args:
        size: texts in the bank.
        dimension, temperature: see `InBatchContrast`.
        pairing: depths of learner and teacher to one pair of layers.
        weight, optional: see `Knowledge`; 0.8 in the paper.
    """

    bank: Tensor
    bank_ids: Tensor
    constant: Tensor
    seen: Tensor

    def __init__(self, size: int = 4096, **options: Any):
        super().__init__(**options)
        self.size = size

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        self.register_buffer("bank", torch.zeros(2, self.size, self.dimension))
        self.register_buffer("bank_ids", torch.full((self.size,), -1))
        self.register_buffer("constant", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        ours, theirs = self.met(learner, teacher)
        ids = batch["id"]
        together = torch.stack([ours, theirs], 1).detach()
        if learns := torch.is_grad_enabled():
            together, their_ids = ranks.joined(together), ranks.joined(ids)
            self.fix(*together.unbind(1))
        loss = self.told(ours, theirs, ids, side=1) + self.told(theirs, ours, ids, side=0)
        if learns:
            self.remember(together.transpose(0, 1), their_ids)
        return loss

    def fix(self, ours: Tensor, theirs: Tensor) -> None:
        """Set the constant in the first batch `[N, D]`: the mean score of any two."""
        scores = ours @ theirs.T / self.temperature
        first = scores.flatten().logsumexp(0) - log(scores.numel())
        self.constant = torch.where((self.seen == 0) & first.isfinite(), first, self.constant)

    def told(self, anchor: Tensor, positive: Tensor, ids: Tensor, side: int) -> Tensor:
        """The loss of anchors `[B, D]` with the other side's vectors of the same texts, and with those of its bank."""
        noise = (self.bank_ids >= 0) & (self.bank_ids != ids.unsqueeze(1))
        own, others = (anchor * positive).sum(-1, keepdim=True), anchor @ self.bank[side].T
        return noise_contrastive(torch.cat([own, others], 1) / self.temperature - self.constant, noise)

    def remember(self, both: Tensor, ids: Tensor) -> None:
        """Put the texts' vectors `[2, N, D]` in the place of those seen longest ago."""
        both, ids = both[:, -self.size :], ids[-self.size :]
        places = (self.seen + torch.arange(len(ids), device=ids.device)) % self.size
        self.bank = self.bank.index_copy(1, places, both.nan_to_num())  # the graph has the old one
        self.bank_ids = self.bank_ids.index_copy(0, places, ids)
        self.seen = self.seen + len(ids)


def noise_contrastive(ratios: Tensor, noise: Tensor) -> Tensor:
    """Negative log-likelihood of telling one pair from K drawn at random, averaged over rows; zero where K is.

    Args:
        ratios: logarithms `[B, 1 + M]` of how much likelier each pair is to be of one text than to be drawn, the
            true one first.
        noise: which of the M others count, `[B, M]`.
    """
    count = noise.sum(1, keepdim=True)
    odds = ratios - count.clamp(min=1).log()
    costs = F.softplus(-odds[:, :1]) + (F.softplus(odds[:, 1:]) * noise).sum(1, keepdim=True)
    return (costs * (count > 0)).mean()
