"""Knowledge inside the network: hidden states and attention."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kd.knowledge.base import Knowledge, other_tokenizer
from kd.knowledge.pairing import Pairs, as_text
from kd.knowledge.projection import projection
from kd.knowledge.reduction import mean_over_real
from models.output import Field, Fields, ModelOutput, Spec

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

    def __init__(self, pairing: Pairing, distance: Distance, weight: float = 1.0, optional: bool = False):
        super().__init__(weight, optional)
        self.pairing, self.distance = pairing, distance

    def requires(self, learner: Spec, teacher: Spec) -> tuple[Fields, Fields]:
        return of_layers("hidden_states", self.pairing(learner.layers, teacher.layers))

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

    def __init__(self, pairing: Pairing, weight: float = 1.0, optional: bool = False):
        super().__init__(weight, optional)
        self.pairing = pairing

    def requires(self, learner: Spec, teacher: Spec) -> tuple[Fields, Fields]:
        return of_layers("attention_scores", self._pairs(learner, teacher))

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
        real = learner.mask[:, None, :, None] & learner.mask[:, None, None, :]
        losses = []
        for mine, theirs in self.pairs:
            ours, goal = learner.attention_scores[mine], teacher.attention_scores[theirs]
            if self.average_heads:
                ours, goal = ours.mean(1, keepdim=True), goal.mean(1, keepdim=True)
            losses.append(mean_over_real((ours - goal).square(), real))
        return torch.stack(losses).sum()

    def _pairs(self, learner: Spec, teacher: Spec) -> Pairs:
        return [(mine, theirs) for mine, theirs in self.pairing(learner.layers, teacher.layers) if mine and theirs]


def of_layers(name: str, pairs: Pairs) -> tuple[Fields, Fields]:
    """The field `name` of the layers of learner and teacher that a pairing pairs."""
    return frozenset(Field(name, mine) for mine, _ in pairs), frozenset(Field(name, theirs) for _, theirs in pairs)
