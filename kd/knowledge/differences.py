"""How far two structures are apart, entry by entry: what the learner and what the teacher gives, of the same shape."""

import torch
from torch import Tensor
from torch.nn import functional as F


def squared(x: Tensor, y: Tensor) -> Tensor:
    """The square of the difference."""
    return (x - y).square()


def huber(x: Tensor, y: Tensor) -> Tensor:
    """Half the square near zero, straight beyond 1."""
    return F.smooth_l1_loss(x, y, reduction="none")


def divergence(x: Tensor, y: Tensor) -> Tensor:
    """What each entry adds to `KL(y || x)`, for probabilities; nothing where y has none."""
    smallest = torch.finfo(x.dtype).tiny
    return y * (y.clamp(min=smallest).log() - x.clamp(min=smallest).log())
