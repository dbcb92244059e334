"""How far training is."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Moment:
    """How far training is.

    Args:
        update, updates: of the weights: made so far, and in all.
        epoch, epochs: the one under way, counted from 0, and how many there are.
    """

    update: int = 0
    updates: int = 1
    epoch: int = 0
    epochs: int = 1

    def ramp(self, share: float) -> float:
        """`exp(-5 (1 - t)^2)`, t from 0 to 1 over this share of training (Laine & Aila, 2017, arXiv 1610.02242)."""
        length = share * self.updates
        t = min(self.update / length, 1.0) if length else 1.0
        return math.exp(-5 * (1 - t) ** 2)
