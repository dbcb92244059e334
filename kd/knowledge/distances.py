"""How far two tensors are apart: pure functions that reduce the last dimension.

Each takes two tensors of the same shape `[..., H]` and gives `[...]`, zero for equal ones.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference."""
    return (x - y).square().mean(-1)


def normalised_mse(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance of the two directions, in [0, 4] (PKD, Sun et al., 2019, arXiv 1908.09355)."""
    return (F.normalize(x, dim=-1) - F.normalize(y, dim=-1)).square().sum(-1)


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """One minus the cosine, in [0, 2] (DistilBERT, Sanh et al., 2019, arXiv 1910.01108)."""
    return 1 - F.cosine_similarity(x, y, dim=-1)


def smooth_l1(x: Tensor, y: Tensor) -> Tensor:
    """Mean Huber loss with threshold 1: squares near zero, straight beyond."""
    return F.smooth_l1_loss(x, y, reduction="none").mean(-1)


def soft_targets(learner: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """`T^2 KL(teacher || learner)` of the softmax at temperature T over `[..., C]` logits.

    The factor keeps the gradient's size when T changes (Hinton et al., 2015, arXiv 1503.02531).
    """
    p = F.log_softmax(teacher / temperature, dim=-1)
    q = F.log_softmax(learner / temperature, dim=-1)
    return F.kl_div(q, p, reduction="none", log_target=True).sum(-1) * temperature**2


def pairwise(x: Tensor) -> Tensor:
    """Euclidean distances `[N, N]` of the rows of `[N, H]`, exactly zero on the diagonal.

    Centred first and never through `|x|^2 + |y|^2 - 2xy` on raw features, which loses the small
    distances; the floor below the root keeps the gradient of equal rows finite.
    """
    x = x - x.mean(0)
    differences = x.unsqueeze(0) - x.unsqueeze(1)
    distances = differences.square().sum(-1).clamp(min=1e-12).sqrt()
    return distances * ~torch.eye(len(x), dtype=torch.bool, device=x.device)
