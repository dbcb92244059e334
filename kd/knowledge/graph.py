"""Knowledge in graphs over a batch that an attention network draws from one layer to the next."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from kd import ranks
from kd.knowledge.distances import kl
from kd.knowledge.feature import Layers, Pairing
from kd.knowledge.pairing import layers
from kd.knowledge.projection import Linear, widths_of
from kd.knowledge.relation import too_few
from kd.schedule import Linear as Rise
from kd.schedule import Schedule
from models.output import ModelOutput, Spec


class GraphNetwork(nn.Module):
    """Tells a text's vector of one layer from all texts' vectors of a lower one, by what it attends to.

    Args:
        lower, upper: widths of the vectors of the two layers.
        heads: of its attention.
        inner: width of a head.
    """

    def __init__(self, lower: int, upper: int, heads: int, inner: int):
        super().__init__()
        self.heads = heads
        self.sender, self.receiver = nn.Linear(upper, heads * inner), nn.Linear(lower, heads * inner)
        self.embedding, self.estimator = nn.Linear(lower, heads * inner), nn.Linear(heads * inner, upper)

    def forward(self, lower: Tensor, upper: Tensor) -> Tensor:
        """Log-probabilities `[heads, N, N]` of which text below each text above looks at, from vectors `[N, H]`."""
        return self._scores(lower, upper).tanh().log_softmax(-1)

    def estimate(self, lower: Tensor, upper: Tensor) -> Tensor:
        """One minus the cosine between the vectors above and what those below say of them, averaged."""
        seen = self._scores(lower, upper).softmax(-1) @ self._split(self.embedding(lower))
        guess = self.estimator(seen.transpose(0, 1).flatten(1))
        return (1 - F.cosine_similarity(guess, upper, dim=-1)).mean()

    def _scores(self, lower: Tensor, upper: Tensor) -> Tensor:
        return self._split(self.sender(upper)) @ self._split(self.receiver(lower)).transpose(1, 2)

    def _split(self, vectors: Tensor) -> Tensor:
        return vectors.unflatten(-1, (self.heads, -1)).transpose(0, 1)


class RepresentationGraph(Layers):
    """Graphs over the texts of a batch from each paired layer to the next, drawn by multi-head attention; KL, summed.

    Paper: Lee & Song, "Graph-based Knowledge Distillation by Multi-head Attention Network", 2019, arXiv 1907.02226.
    An attention network learns on the teacher to tell each text's vector from the layer below; the same network draws
    the student's graph, which is to be the teacher's. Unlike there, a vector is the direction of the mean state, not
    the first singular vector; network and student learn together, neither reaching the other with its gradient,
    `warm_up` being the share of the run over which the student's part rises from nothing, where the authors train
    the network first and then clip the gradient; the network has no batch normalisation and drops no heads; and the
    divergence is averaged over heads and texts, in the direction `KL(teacher || student)`.

    Args:
        pairing: depths of learner and teacher to two pairs of layers or more.
        heads: of the attention network.
        inner: width of a head.
        warm_up: see above.
        weight, optional: see `Knowledge`.
    """

    reads = ("mean_states",)
    share: float

    def __init__(
        self,
        pairing: Pairing = layers,
        heads: int = 8,
        inner: int = 32,
        warm_up: float = 0.1,
        weight: float | Schedule = 1.0,
        optional: bool = False,
    ):
        super().__init__(pairing, weight, optional)
        self.heads, self.inner = heads, inner
        self.share = self.follow("share", Rise(finish=warm_up) if warm_up else 1.0)

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        return super().fits(learner, teacher) or too_few(self.pairs_of(learner, teacher))

    def connect(self, learner: Spec, teacher: Spec) -> None:
        super().connect(learner, teacher)
        self.projections = Linear().projections(widths_of(self.pairs, learner, teacher))
        steps = pairwise(teacher.widths[its] for _, its in self.pairs)
        self.networks = nn.ModuleList(GraphNetwork(*widths, self.heads, self.inner) for widths in steps)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"{super().describe(learner, teacher)}, {self.heads} heads"

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        states = (self.projections(mine, learner.mean_states[mine]) for mine, _ in self.pairs)
        ours = [ranks.joined(F.normalize(some, dim=-1)) for some in states]
        theirs = [ranks.joined(F.normalize(teacher.mean_states[its], dim=-1)).detach() for _, its in self.pairs]
        losses = []
        for network, mine, its in zip(self.networks, pairwise(ours), pairwise(theirs), strict=True):
            assert isinstance(network, GraphNetwork)
            fixed = {name: weight.detach() for name, weight in network.named_parameters()}
            graph, goal = functional_call(network, fixed, mine), functional_call(network, fixed, its)
            losses.append(self.share * kl(graph, goal).mean() + network.estimate(*its))
        return torch.stack(losses).sum()
