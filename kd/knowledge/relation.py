"""Knowledge in how vectors lie to one another; widths need not agree, nor tokenizers."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from kd import ranks
from kd.knowledge.alignment import ByText, Pieces, alignment
from kd.knowledge.differences import squared
from kd.knowledge.feature import Layers, Pairing, Reduction, States, states
from kd.knowledge.pairing import Pairs, last
from kd.knowledge.projection import Linear, Projector, widths_of
from kd.knowledge.reduction import mean_over_texts
from kd.knowledge.structures import SMALLEST
from kd.schedule import Schedule
from models.output import ModelOutput, Spec

Structure = Callable[[Tensor, Tensor], Tensor]
Difference = Callable[[Tensor, Tensor], Tensor]


class Relation(Layers):
    """Compares a structure of the learner's vectors with that of the teacher's; summed over pairs of layers.

    The vectors are those of the texts of a batch, of all processes that share it, or those of the tokens of a text, of
    its words where two tokenizers differ.

    Args:
        structure: of vectors `[G, N, H]` and a mask `[G, N]`, see `kd.knowledge.structures`.
        difference: of two structures, entry by entry.
        reduction: of the differences of each group to a number.
        pairing: depths of learner and teacher to pairs of layers.
        read: a vector a text (`mean_states` or `cls_states`), or one a token (`hidden_states`).
        pieces: what stands for a word: `mean`, `first` or `max` of its pieces.
        weight, optional: see `Knowledge`.
    """

    def __init__(
        self,
        structure: Structure,
        difference: Difference = squared,
        reduction: Reduction = mean_over_texts,
        pairing: Pairing = last,
        read: States = "mean_states",
        pieces: Pieces = "mean",
        weight: float | Schedule = 1.0,
        optional: bool = False,
    ):
        super().__init__(pairing, weight, optional)
        self.structure, self.difference, self.reduction = structure, difference, reduction
        self.reads, self.pieces = (states(read),), pieces

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        by_token = self.reads == ("hidden_states",)
        self.alignment = alignment(learner, teacher, self.pieces) if by_token else ByText()

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        (read,) = self.reads
        losses = []
        for mine, its in self.pairs:
            ours, theirs = getattr(learner, read)[mine], getattr(teacher, read)[its]
            if read == "hidden_states":
                losses.append(self._of_tokens(ours, theirs, learner.mask, batch))
            else:
                losses.append(self._of_texts(ours, theirs))
        return torch.stack(losses).sum()

    def compare(self, learner: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        """The loss between vectors `[G, N, H_learner]` and `[G, N, H_teacher]` that `mask` `[G, N]` has."""
        differences = self.difference(self.structure(learner, mask), self.structure(teacher, mask))
        return self.reduction(differences, all_there(mask, differences.dim()))

    def _of_texts(self, ours: Tensor, theirs: Tensor) -> Tensor:
        ours, theirs = ranks.joined(ours), ranks.joined(theirs)
        return self.compare(ours[None], theirs[None], torch.ones(1, len(ours), dtype=torch.bool, device=ours.device))

    def _of_tokens(self, ours: Tensor, theirs: Tensor, mask: Tensor, batch: Mapping[str, Any]) -> Tensor:
        ours, theirs = self.alignment.learner(ours, batch), self.alignment.teacher(theirs, batch)
        return self.compare(ours, theirs, self.alignment.real(mask, batch))


class KernelAlignment(Layers):
    """One minus the linear centred kernel alignment (CKA) of all tokens' states in a batch; summed over pairs.

    Paper: Kornblith et al., "Similarity of Neural Network Representations Revisited", 2019, arXiv 1905.00414. Tokens,
    or words where two tokenizers differ, are those of this process; with fewer of them than a state has numbers,
    any two sets of states look alike.

    Args:
        pairing: depths of learner and teacher to pairs of layers.
        pieces: what stands for a word: `mean`, `first` or `max` of its pieces.
        weight, optional: see `Knowledge`.
    """

    reads = ("hidden_states",)

    def __init__(
        self, pairing: Pairing, pieces: Pieces = "mean", weight: float | Schedule = 1.0, optional: bool = False
    ):
        super().__init__(pairing, weight, optional)
        self.pieces = pieces

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        self.alignment = alignment(learner, teacher, self.pieces)

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        real, losses = self.alignment.real(learner.mask, batch), []
        for mine, its in self.pairs:
            ours = self.alignment.learner(learner.hidden_states[mine], batch)
            theirs = self.alignment.teacher(teacher.hidden_states[its], batch)
            losses.append(1 - kernel_alignment(ours.flatten(0, 1), theirs.flatten(0, 1), real.flatten()))
        return torch.stack(losses).sum()


class FlowMatrices(Layers):
    """How a text's vectors flow from one paired layer to the next, as mean outer products over its real tokens (FSP).

    Paper: Yim et al., "A Gift from Knowledge Distillation: Fast Optimization, Network Minimization and Transfer
    Learning", CVPR 2017: the mean squared difference of the matrices, summed over steps. Tokenizers need not agree.

    Args:
        pairing: depths of learner and teacher to two pairs of layers or more.
        projector: brings the learner's states to the teacher's width.
        weight, optional: see `Knowledge`.
    """

    reads = ("hidden_states",)

    def __init__(
        self,
        pairing: Pairing,
        projector: Projector | None = None,
        weight: float | Schedule = 1.0,
        optional: bool = False,
    ):
        super().__init__(pairing, weight, optional)
        self.projector = projector or Linear()

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if reason := super().fits(learner, teacher) or too_few(self.pairs_of(learner, teacher)):
            return reason
        return self.projector.refusal(widths_of(self.pairs_of(learner, teacher), learner, teacher))

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        self.projections = self.projector.projections(widths_of(self.pairs, learner, teacher))

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        ours = [self.projections(mine, learner.hidden_states[mine]) for mine, _ in self.pairs]
        theirs = [teacher.hidden_states[its] for _, its in self.pairs]
        flows = (
            (flow(*mine, learner.mask), flow(*its, teacher.mask))
            for mine, its in zip(pairwise(ours), pairwise(theirs), strict=True)
        )
        return torch.stack([squared(mine, its).mean() for mine, its in flows]).sum()


class StepLengths(Layers):
    """How far each text's mean state goes from one paired layer to the next, in units of the farthest in the batch.

    Paper: the instance relationship transformation of Liu et al., "Knowledge Distillation via Instance Relationship
    Graph", CVPR 2019: mean squared difference, summed over steps. As in the authors' code, but that the gradient
    reaches the farthest one, too.

    Args:
        pairing: depths of learner and teacher to two pairs of layers or more, of one width in each model.
        weight, optional: see `Knowledge`.
    """

    reads = ("mean_states",)

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if reason := super().fits(learner, teacher) or too_few(self.pairs_of(learner, teacher)):
            return reason
        sides = zip(*self.pairs_of(learner, teacher), strict=True)
        for (role, spec), layers in zip((("learner", learner), ("teacher", teacher)), sides, strict=True):
            if len(widths := {spec.widths[layer] for layer in layers}) > 1:
                sizes = " and ".join(map(str, sorted(widths)))
                return f"between layers of the {role} that are {sizes} wide there is no distance"
        return None

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        ours = [learner.mean_states[mine] for mine, _ in self.pairs]
        theirs = [teacher.mean_states[its] for _, its in self.pairs]
        steps = zip(pairwise(ours), pairwise(theirs), strict=True)
        return torch.stack([squared(lengths(*mine), lengths(*its)).mean() for mine, its in steps]).sum()


def kernel_alignment(x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
    """Linear CKA of `[N, H]` and `[N, H']` over the rows that are there, through `[H, H']` matrices; 1 if constant."""
    x, y = (centred(some, mask) for some in (x, y))
    norms = [(some.T @ some).norm() for some in (x, y)]
    alike = (x.T @ y).square().sum() / (norms[0] * norms[1]).clamp(min=SMALLEST)
    return torch.where(torch.stack(norms).amin() < SMALLEST, 1 + 0 * alike, alike)


def centred(x: Tensor, mask: Tensor) -> Tensor:
    """Rows `[N, H]` less their mean, of a size at which squares of squares do not overflow; zero where none is."""
    real = mask.unsqueeze(-1)
    count = real.sum().clamp(min=1)
    return (x - (x * real).sum(0) / count) * real / (count * x.shape[-1]) ** 0.5


def all_there(mask: Tensor, dimensions: int) -> Tensor:
    """Where all of the vectors are there that an entry is about: `[G, N]`, `[G, N, N]`, or `[G, N, N, N]`."""
    real = mask
    for _ in range(dimensions - 2):
        real = real.unsqueeze(-1) & mask.reshape(len(mask), *[1] * (real.dim() - 1), -1)
    return real


def flow(lower: Tensor, upper: Tensor, mask: Tensor) -> Tensor:
    """Mean outer products `[B, H, H']` of states `[B, S, H]` and `[B, S, H']` over the real positions."""
    real = lower * mask.unsqueeze(-1)
    return real.transpose(1, 2) @ upper / mask.sum(1).clamp(min=1)[:, None, None]


def lengths(lower: Tensor, upper: Tensor) -> Tensor:
    """Squared distances of the rows of `[B, H]`, of all processes, divided by the greatest."""
    squares = ranks.joined((lower - upper).square().sum(-1))
    return squares / squares.max().clamp(min=SMALLEST)


def too_few(pairs: Pairs) -> str | None:
    """Why there is nothing between these pairs; None where there is."""
    return None if len(pairs) > 1 else f"it is about what happens between pairs of layers, and there is {len(pairs)}"
