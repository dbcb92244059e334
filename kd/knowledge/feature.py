"""Knowledge inside the network: states and attention of paired layers."""

from collections.abc import Callable, Mapping, Sequence
from math import gcd
from typing import Any, Literal

import torch
from torch import Tensor

from kd.knowledge.alignment import ByText, Pieces, alignment, other_tokenizer
from kd.knowledge.base import Knowledge
from kd.knowledge.distances import kl
from kd.knowledge.matching import Matching, Sum
from kd.knowledge.pairing import Pairs, as_text
from kd.knowledge.projection import Linear, Projector, widths_of
from kd.knowledge.reduction import mean_over_real
from kd.schedule import Schedule
from models.output import STATES, Field, Fields, ModelOutput, Spec
from potstill.errors import UserError

Pairing = Callable[[int, int], Pairs]
Distance = Callable[[Tensor, Tensor], Tensor]
Reduction = Callable[[Tensor, Tensor], Tensor]
States = Literal["hidden_states", "mean_states", "cls_states"]

MOST_RELATION_HEADS = 48  # of MiniLMv2 for base models
NEVER = -1e30  # a score that gives a masked key no probability


class Layers(Knowledge):
    """What terms of paired layers have in common.

    Args:
        pairing: depths of learner and teacher to pairs of layers.
        weight, optional: see `Knowledge`.
    """

    reads: tuple[str, ...]  # fields of `ModelOutput`

    def __init__(self, pairing: Pairing, weight: float | Schedule = 1.0, optional: bool = False):
        super().__init__(weight, optional)
        self.pairing = pairing

    def pairs_of(self, learner: Spec, teacher: Spec) -> Pairs:
        """The layers that are compared."""
        return self.pairing(learner.layers, teacher.layers)

    def requires(self, learner: Spec, teacher: Spec) -> tuple[Fields, Fields]:
        pairs = self.pairs_of(learner, teacher)
        ours = frozenset(Field(name, mine) for name in self.reads for mine, _ in pairs)
        return ours, frozenset(Field(name, its) for name in self.reads for _, its in pairs)

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if not self.pairs_of(learner, teacher):
            return f"its pairing finds no layers to compare between {learner.layers} and {teacher.layers}"
        return super().fits(learner, teacher)

    def connect(self, learner: Spec, teacher: Spec) -> None:
        self.pairs = self.pairs_of(learner, teacher)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"layers {as_text(self.pairs_of(learner, teacher))}"


class HiddenStates(Layers):
    """States of paired layers, the learner's projected where widths differ; summed over pairs.

    Papers: FitNets' hints (Romero et al., 2015, arXiv 1412.6550); TinyBERT (Jiao et al., 2019, arXiv
    1909.10351), which pairs layers uniformly and sums over them; PKD (Sun et al., 2019, arXiv 1908.09355), with
    `read: cls_states`. Where two tokenizers differ, hidden states are compared word by word.

    Args:
        pairing: depths of learner and teacher to pairs of layers.
        distance: of `[..., H]` states to `[...]`.
        read: `hidden_states` of all tokens, their mean over a text (`mean_states`), or the first (`cls_states`).
        projector: brings the learner's states to the teacher's width.
        matching: what paired layers cost together.
        reduction: of a pair's distances to a number.
        pieces: what stands for a word: `mean`, `first` or `max` of its pieces.
        weight, optional: see `Knowledge`.
    """

    def __init__(
        self,
        pairing: Pairing,
        distance: Distance,
        read: States = "hidden_states",
        projector: Projector | None = None,
        matching: Matching | None = None,
        reduction: Reduction = mean_over_real,
        pieces: Pieces = "mean",
        weight: float | Schedule = 1.0,
        optional: bool = False,
    ):
        super().__init__(pairing, weight, optional)
        self.reads = (states(read),)
        self.distance, self.reduction, self.pieces = distance, reduction, pieces
        self.projector, self.matching = projector or Linear(), matching or Sum()

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if reason := super().fits(learner, teacher):
            return reason
        pairs = self.pairs_of(learner, teacher)
        return self.matching.refusal(pairs) or self.projector.refusal(widths_of(pairs, learner, teacher))

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        by_token = self.reads == ("hidden_states",)
        self.alignment = alignment(learner, teacher, self.pieces) if by_token else ByText()
        self.projections = self.projector.projections(widths_of(self.pairs, learner, teacher))
        self.matching.connect(self.pairs)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        widths = widths_of(self.pairs_of(learner, teacher), learner, teacher)
        projected = sum(mine != its for mine, its in widths.values())
        return super().describe(learner, teacher) + (f", {projected} projected" if projected else "")

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        (read,) = self.reads
        ours, theirs = getattr(learner, read), getattr(teacher, read)
        mine = {
            layer: self.projections(layer, self.alignment.learner(ours[layer], batch))
            for layer in dict.fromkeys(layer for layer, _ in self.pairs)
        }
        its = {
            layer: self.alignment.teacher(theirs[layer], batch)
            for layer in dict.fromkeys(layer for _, layer in self.pairs)
        }
        real = self.alignment.real(learner.mask, batch)
        return self.matching(mine, its, lambda one, other: self.reduction(self.distance(one, other), real))


class Attention(Layers):
    """What terms about the attention of paired layers have in common; pairs with embeddings are passed over."""

    def pairs_of(self, learner: Spec, teacher: Spec) -> Pairs:
        return [(mine, its) for mine, its in super().pairs_of(learner, teacher) if mine and its]

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        return super().fits(learner, teacher) or other_tokenizer(learner, teacher)


class AttentionScores(Attention):
    """Attention before softmax of paired layers, each two real tokens of a text; summed over pairs.

    Paper: TinyBERT (Jiao et al., 2019, arXiv 1909.10351), which found scores to teach faster than probabilities. Its
    code sets masked keys to zero and counts them; here neither masked keys nor masked queries count. Where the numbers
    of heads differ, both sides are averaged over heads.

    Args:
        pairing: depths of learner and teacher to pairs of layers.
        weight, optional: see `Knowledge`.
    """

    reads = ("attention_scores",)

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        self.average_heads = learner.heads != teacher.heads

    def describe(self, learner: Spec, teacher: Spec) -> str:
        heads = "" if learner.heads == teacher.heads else ", averaged over heads"
        return f"{super().describe(learner, teacher)}{heads}"

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        keys, queries = learner.mask[:, None, None, :], learner.mask[:, None, :, None]
        losses = []
        for mine, its in self.pairs:
            ours, theirs = learner.attention_scores[mine], teacher.attention_scores[its]
            if self.average_heads:
                ours, theirs = ours.mean(1, keepdim=True), theirs.mean(1, keepdim=True)
            losses.append(mean_over_real((ours - theirs).square(), keys & queries))
        return torch.stack(losses).sum()


class AttentionProbabilities(Attention):
    """Each head's probabilities of paired layers: KL, averaged over heads and real tokens, summed over pairs.

    Papers: MiniLM (Wang et al., 2020, arXiv 2002.10957), of the last layer; MobileBERT (Sun et al., 2020, arXiv
    2004.02984), of every layer, divided by their number. The numbers of heads have to agree.

    Args:
        pairing: depths of learner and teacher to pairs of layers.
        weight, optional: see `Knowledge`.
    """

    reads = ("attention_scores",)

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if reason := super().fits(learner, teacher):
            return reason
        equal = learner.heads == teacher.heads
        return None if equal else f"head by head, but the learner has {learner.heads} and the teacher {teacher.heads}"

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        both = ((learner.attention_scores[mine], teacher.attention_scores[its]) for mine, its in self.pairs)
        return torch.stack([kl_over_keys(ours, theirs, learner.mask) for ours, theirs in both]).sum()


class SelfAttentionRelations(Attention):
    """How queries, keys and values of a text's tokens attend to their own kind: scaled dot products, softmax, KL.

    Papers: MiniLMv2 (Wang et al., 2021, arXiv 2012.15828), and the value relation of MiniLM (Wang et al., 2020,
    arXiv 2002.10957). What all heads of a layer say is cut anew into as many relation heads on both sides, so that
    neither widths nor numbers of heads need agree. Averaged over relation heads and real tokens, summed over `reads`
    and pairs.

    Args:
        pairing: depths of learner and teacher to pairs of layers.
        reads: of `queries`, `keys` and `values`.
        relation_heads: how many; where not given, the greatest number up to 48 that divides both widths. The paper
            has 48 for base and 64 for large teachers.
        weight, optional: see `Knowledge`.
    """

    def __init__(
        self,
        pairing: Pairing,
        reads: Sequence[str] = ("queries", "keys", "values"),
        relation_heads: int | None = None,
        weight: float | Schedule = 1.0,
        optional: bool = False,
    ):
        super().__init__(pairing, weight, optional)
        if not reads or set(reads) - {"queries", "keys", "values"}:
            raise UserError(f"kd.terms: reads {list(reads)}: name some of queries, keys, values")
        if relation_heads is not None and (not isinstance(relation_heads, int) or relation_heads < 1):
            raise UserError(f"kd.terms: relation_heads {relation_heads!r} is not a whole number above 0")
        self.reads, self.relation_heads = tuple(reads), relation_heads

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if reason := super().fits(learner, teacher):
            return reason
        heads = self._heads(learner, teacher)
        for role, spec in (("learner", learner), ("teacher", teacher)):
            if spec.widths[-1] % heads:
                return f"{heads} relation heads do not divide the {role}'s width, {spec.widths[-1]}"
        return None

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        self.heads = self._heads(learner, teacher)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        what = f"{', '.join(self.reads)}, {self._heads(learner, teacher)} relation heads"
        return f"{super().describe(learner, teacher)}, {what}"

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        losses = []
        for read in self.reads:
            for mine, its in self.pairs:
                ours, theirs = (
                    relations(getattr(output, read)[layer], self.heads)
                    for output, layer in ((learner, mine), (teacher, its))
                )
                losses.append(kl_over_keys(ours, theirs, learner.mask))
        return torch.stack(losses).sum()

    def _heads(self, learner: Spec, teacher: Spec) -> int:
        if self.relation_heads is not None:
            return self.relation_heads
        common = gcd(learner.widths[-1], teacher.widths[-1])
        return max(heads for heads in range(1, MOST_RELATION_HEADS + 1) if common % heads == 0)


def states(read: str) -> str:
    """The field of that name, which has to hold a layer's states.

    Raises:
        UserError: there is none.
    """
    if read not in STATES:
        raise UserError(f"kd.terms: read={read!r} is none of {', '.join(sorted(STATES))}")
    return read


def kl_over_keys(learner: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean `KL(teacher || learner)` of what each real query of `[B, heads, S, S]` scores makes of the real keys."""
    ours, theirs = (scores.masked_fill(~mask[:, None, None, :], NEVER).log_softmax(-1) for scores in (learner, teacher))
    return mean_over_real(kl(ours, theirs), mask[:, None, :])


def relations(vectors: Tensor, heads: int) -> Tensor:
    """Scaled dot products `[B, heads, S, S]` of `[B, any heads, S, D]` vectors, cut anew into so many heads."""
    rows, _, length, _ = vectors.shape
    split = vectors.transpose(1, 2).reshape(rows, length, heads, -1).transpose(1, 2)
    return split @ split.transpose(-1, -2) / split.shape[-1] ** 0.5
