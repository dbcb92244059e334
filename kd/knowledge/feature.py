"""Knowledge inside the network: hidden states and attention."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from kd.knowledge.base import Knowledge, other_tokenizer
from kd.knowledge.pairing import Pairs, as_text
from kd.knowledge.projection import projection
from kd.knowledge.reduction import mean_over_real
from models.output import ModelOutput, Spec

Pairing = Callable[[int, int], Pairs]
Distance = Callable[[Tensor, Tensor], Tensor]


class HiddenStates(Knowledge):
    """Hidden states of paired layers, token by token; summed over pairs, averaged over real tokens.

    Papers: FitNets' hints (Romero et al., 2015, arXiv 1412.6550); TinyBERT (Jiao et al., 2019, arXiv
    1909.10351), which pairs layers uniformly and sums over them. A linear map brings the learner's
    states to the teacher's width where the two differ, one for each pair.

    Args:
        pairing: depths of learner and teacher to pairs of layers.
        distance: of `[B, S, H]` states to `[B, S]`.
        weight, optional: see `Knowledge`.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"hidden_states"})

    def __init__(self, pairing: Pairing, distance: Distance, weight: float = 1.0, optional: bool = False):
        super().__init__(weight, optional)
        self.pairing, self.distance = pairing, distance

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        reason = super().fits(learner, teacher) or other_tokenizer(learner, teacher)
        if reason is None and not self.pairing(learner.layers, teacher.layers):
            return f"its pairing finds no layers to compare between {learner.layers} and {teacher.layers}"
        return reason

    def connect(self, learner: Spec, teacher: Spec) -> None:
        self.pairs = self.pairing(learner.layers, teacher.layers)
        self.projections = nn.ModuleList(
            projection(learner.widths[mine], teacher.widths[theirs]) for mine, theirs in self.pairs
        )

    def describe(self, learner: Spec, teacher: Spec) -> str:
        pairs = self.pairing(learner.layers, teacher.layers)
        projected = sum(learner.widths[mine] != teacher.widths[theirs] for mine, theirs in pairs)
        return f"layers {as_text(pairs)}" + (f", {projected} projected" if projected else "")

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        assert learner.hidden_states is not None
        assert teacher.hidden_states is not None
        losses = [
            mean_over_real(
                self.distance(project(learner.hidden_states[mine]), teacher.hidden_states[theirs]), learner.mask
            )
            for project, (mine, theirs) in zip(self.projections, self.pairs, strict=True)
        ]
        return torch.stack(losses).sum()


class AttentionScores(Knowledge):
    """Attention scores before softmax of paired layers; summed over pairs, averaged over real pairs of tokens.

    Paper: TinyBERT (Jiao et al., 2019, arXiv 1909.10351), which found scores to teach faster than
    probabilities. Its code sets masked keys to zero and counts them; here neither masked keys nor
    masked queries count. Where the numbers of heads differ, both sides are averaged over heads.

    Args:
        pairing: depths of learner and teacher to pairs of layers; pairs with embeddings are passed over.
        weight, optional: see `Knowledge`.
    """

    requires: ClassVar[frozenset[str]] = frozenset({"attentions"})

    def __init__(self, pairing: Pairing, weight: float = 1.0, optional: bool = False):
        super().__init__(weight, optional)
        self.pairing = pairing

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        reason = super().fits(learner, teacher) or other_tokenizer(learner, teacher)
        if reason is None and not self._pairs(learner, teacher):
            return f"its pairing finds no layers to compare between {learner.layers} and {teacher.layers}"
        return reason

    def connect(self, learner: Spec, teacher: Spec) -> None:
        self.pairs = self._pairs(learner, teacher)
        self.average_heads = learner.heads != teacher.heads

    def describe(self, learner: Spec, teacher: Spec) -> str:
        heads = "" if learner.heads == teacher.heads else ", averaged over heads"
        return f"layers {as_text(self._pairs(learner, teacher))}{heads}"

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        assert learner.attentions is not None
        assert teacher.attentions is not None
        real = learner.mask[:, None, :, None] & learner.mask[:, None, None, :]
        losses = []
        for mine, theirs in self.pairs:
            ours, goal = learner.attentions[mine - 1].scores, teacher.attentions[theirs - 1].scores
            if self.average_heads:
                ours, goal = ours.mean(1, keepdim=True), goal.mean(1, keepdim=True)
            losses.append(mean_over_real((ours - goal).square(), real))
        return torch.stack(losses).sum()

    def _pairs(self, learner: Spec, teacher: Spec) -> Pairs:
        return [(mine, theirs) for mine, theirs in self.pairing(learner.layers, teacher.layers) if mine and theirs]
