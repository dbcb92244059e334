"""Early exits: classifiers on the hidden states of chosen layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ExitHeads(nn.Module):
    """One classifier after each of the chosen layers: mean over real positions, tanh layer, logits.

    Args:
        layers: indices into the hidden states, embeddings being 0.
        widths: of those hidden states.
        classes: C.
        dropout: before the last linear layer.
    """

    def __init__(self, layers: Sequence[int], widths: Sequence[int], classes: int, dropout: float = 0.1):
        super().__init__()
        self.layers = tuple(layers)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Dropout(dropout), nn.Linear(width, classes))
            for width in widths
        )

    def forward(self, hidden_states: Sequence[Tensor], mask: Tensor) -> tuple[Tensor, ...]:
        """Logits `[B, C]` of each exit, shallow to deep."""
        states = (hidden_states[layer] for layer in self.layers)
        return tuple(head(mean_of_real(state, mask)) for head, state in zip(self.heads, states, strict=True))


def mean_of_real(states: Tensor, mask: Tensor) -> Tensor:
    """Mean of `[B, S, H]` over the real positions, `[B, H]`; zero for a row that has none."""
    real = mask.unsqueeze(-1).to(states.dtype)
    return (states * real).sum(1) / torch.clamp(real.sum(1), min=1)
