"""Pieces hashed to ternary features, and quasi-recurrent layers on them: a network without an embedding table."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.blueprint import RecurrentBlueprint
from models.recurrent import (
    RecurrentConfig,
    RecurrentForQuestionAnswering,
    RecurrentForSequenceClassification,
    RecurrentForTokenClassification,
    RecurrentModel,
    both_ways,
    register,
)
from potstill.errors import UserError

HALF_RANGE = 2**31  # of a number of 32 bits


class PQRNNConfig(RecurrentConfig):
    """Sizes of a pQRNN: those of a recurrent student, `embedding_size` being the width of the bottleneck.

    Args:
        projection_size: ternary features of a piece.
        kernel_size: positions that a gate sees at once: its own and those before.
        zoneout: share of the states that stay as they were, in training.
    """

    model_type = "potstill_pqrnn"

    def __init__(self, projection_size: int = 1024, kernel_size: int = 2, zoneout: float = 0.1, **kwargs: Any):
        self.projection_size, self.kernel_size, self.zoneout = projection_size, kernel_size, zoneout
        super().__init__(**kwargs)


class TernaryProjection(nn.Module):
    """A fixed pattern of -1, 0 and 1 for every id, made when it is read.

    A feature is a hash of the id between -1 and 1, rounded: 0 for half of all ids, 1 and -1 for a quarter each, and
    independent for any two. The hash is `factor * id + offset` in 32 bits, of which the highest count (multiply-shift,
    Thorup, "High Speed Hashing for Integers and Strings", 2015, arXiv 1504.06804).
    """

    def __init__(self, size: int):
        super().__init__()
        random = Random(0)
        for name in ("factors", "offsets"):
            numbers = [random.randrange(-HALF_RANGE, HALF_RANGE) for _ in range(size)]
            self.register_buffer(name, torch.tensor(numbers, dtype=torch.int32))

    def forward(self, ids: Tensor) -> Tensor:
        """Ids `[B, S]` to features `[B, S, size]`."""
        hashes = ids.int().unsqueeze(-1) * self.get_buffer("factors") + self.get_buffer("offsets")
        return (hashes.float() / HALF_RANGE).round()


class Gates(nn.Linear):
    """A candidate for the next state, the gate that keeps the last one, and the gate of what is shown.

    A class of its own, since transformers gives first weights only to modules that hold them.
    """


class QuasiRecurrence(nn.Module):
    """A recurrence whose gates depend on the input alone, so that only sums and products go from step to step.

    Paper: Bradbury et al., "Quasi-Recurrent Neural Networks", 2016, arXiv 1611.01576: fo-pooling, and zoneout, which
    lets a state stay as it was.
    """

    def __init__(self, input_size: int, hidden_size: int, kernel_size: int, zoneout: float):
        super().__init__()
        self.kernel_size, self.zoneout = kernel_size, zoneout
        self.gates = Gates(kernel_size * input_size, 3 * hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """`[B, S, input]` to `[B, S, hidden]`, where a position knows itself and those before."""
        seen = torch.cat([delayed(states, steps) for steps in range(self.kernel_size)], dim=-1)
        candidate, keep, output = self.gates(seen).float().chunk(3, dim=-1)
        keep = keep.sigmoid()
        if self.training and self.zoneout:
            keep = keep.masked_fill(torch.rand_like(keep) < self.zoneout, 1.0)
        return output.sigmoid() * accumulated(keep, (1 - keep) * candidate.tanh())


def delayed(states: Tensor, steps: int) -> Tensor:
    """`[B, S, H]` as it was `steps` positions before; zeros before the first."""
    return functional.pad(states, (0, 0, steps, 0))[:, : states.shape[1]]


def accumulated(keep: Tensor, new: Tensor) -> Tensor:
    """The states `c_t = keep_t * c_{t-1} + new_t` of `[B, S, H]`, nothing being before the first.

    All positions at once, in as many rounds as S has binary digits: after each round a state holds what twice as
    many positions brought (Hillis & Steele, "Data Parallel Algorithms", 1986).
    """
    steps = 1
    while steps < new.shape[1]:
        new = new + keep * delayed(new, steps)
        keep = keep * delayed(keep, steps)
        steps *= 2
    return new


class QuasiRecurrentLayer(nn.Module):
    """A quasi-recurrence over the real positions in both directions."""

    def __init__(self, input_size: int, config: PQRNNConfig):
        super().__init__()
        sizes = (input_size, config.hidden_size, config.kernel_size, config.zoneout)
        self.ahead, self.back = QuasiRecurrence(*sizes), QuasiRecurrence(*sizes)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """`[B, S, input]` to `[B, S, 2 * hidden]`; padded positions give zeros, without mask there are none."""
        return both_ways(self.ahead, self.back, states, mask)


class PQRNNModel(RecurrentModel):
    """Projection, bottleneck and quasi-recurrent layers."""

    config_class: type[RecurrentConfig] = PQRNNConfig

    def make_embeddings(self, config: RecurrentConfig) -> nn.Module:
        assert isinstance(config, PQRNNConfig)
        size = config.embedding_size
        bottleneck = nn.Linear(config.projection_size, size)
        return nn.Sequential(TernaryProjection(config.projection_size), bottleneck, nn.LayerNorm(size), nn.ReLU())

    def make_layers(self, config: RecurrentConfig) -> Iterable[nn.Module]:
        assert isinstance(config, PQRNNConfig)
        return (QuasiRecurrentLayer(width, config) for width in self.read_widths(config))

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Gates):
            nn.init.xavier_uniform_(module.weight)
            module.bias.chunk(3)[1].fill_(1.0)  # an open gate carries memory from the first step on


class PQRNNForSequenceClassification(RecurrentForSequenceClassification):
    """A pQRNN with a classifier."""

    config_class: type[RecurrentConfig] = PQRNNConfig
    encoder_class = PQRNNModel


class PQRNNForTokenClassification(RecurrentForTokenClassification):
    """A pQRNN with a classifier of tokens."""

    config_class: type[RecurrentConfig] = PQRNNConfig
    encoder_class = PQRNNModel


class PQRNNForQuestionAnswering(RecurrentForQuestionAnswering):
    """A pQRNN that finds answers in a text."""

    config_class: type[RecurrentConfig] = PQRNNConfig
    encoder_class = PQRNNModel


register(PQRNNForSequenceClassification, PQRNNForTokenClassification, PQRNNForQuestionAnswering)


@dataclass(frozen=True)
class PQRNN(RecurrentBlueprint):
    """A pQRNN student: no embedding table, whatever the vocabulary.

    Paper: Kaliamoorthi et al., "Distilling Large Language Models into Tiny and Effective Students using pQRNN", 2021,
    arXiv 2101.08890. There words are hashed, here the pieces of a tokenizer; there the states are averaged by
    attention and the bottleneck normalised by batch, here by layer, and each feature's maximum over all positions is
    taken, as by the other recurrent students.
    """

    num_hidden_layers: int = 2
    hidden_size: int = 64
    projection_size: int = 1024
    kernel_size: int = 2
    zoneout: float = 0.1
    vocabulary: str = "teacher"
    embeddings: str = "random"
    embedding_size: int | None = 128

    config_class: ClassVar[type[RecurrentConfig]] = PQRNNConfig
    sizes: ClassVar[tuple[str, ...]] = (*RecurrentBlueprint.sizes, "projection_size", "kernel_size", "zoneout")
    shares: ClassVar[tuple[str, ...]] = ("dropout", "zoneout")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.embeddings != "random":
            raise UserError("student.embeddings: a pQRNN has no table to fill; leave it out")
