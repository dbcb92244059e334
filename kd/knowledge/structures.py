"""How vectors lie to one another: pure functions whose result does not depend on the vectors' width.

Each takes vectors `[G, N, H]` in G groups and a mask `[G, N]` of those that are there, and gives one number for each
vector, `[G, N]`, for each two, `[G, N, N]`, or each three, `[G, N, N, N]`; zero where one of them is not there.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

SMALLEST = 1e-12
NEAR = 1e-6


def relative_distances(x: Tensor, mask: Tensor) -> Tensor:
    """Euclidean distances in units of their mean over the unequal pairs of a group (RKD-D, arXiv 1904.05068)."""
    both = pairs(mask)
    distances = euclidean(x) * both
    count = (both.sum((1, 2)) - mask.sum(1)).clamp(min=1)
    mean = distances.sum((1, 2)) / count
    return distances / mean.clamp(min=SMALLEST)[:, None, None]


def angles(x: Tensor, mask: Tensor) -> Tensor:
    """Cosines of the angles of every three: entry (j, i, k) is that at j between i and k (RKD-A, arXiv 1904.05068).

    Work and memory grow with the cube of N.
    """
    differences = x.unsqueeze(1) - x.unsqueeze(2)
    together = differences.square().sum(-1, keepdim=True) < NEAR**2  # have no direction, and would have any gradient
    directions = F.normalize(differences.masked_fill(together, 0), dim=-1) * pairs(mask).unsqueeze(-1)
    return directions @ directions.transpose(-1, -2)


def similarities(x: Tensor, mask: Tensor) -> Tensor:
    """Dot products, those of each vector as a direction (SP, arXiv 1907.09682)."""
    return F.normalize(gram(x, mask), dim=-1)


def cosines(x: Tensor, mask: Tensor) -> Tensor:
    """Cosines of every two."""
    return gram(F.normalize(x, dim=-1), mask)


def radial_basis(x: Tensor, mask: Tensor, gamma: float = 0.4, order: int = 2) -> Tensor:
    """`exp(-gamma |x - y|^2)` of directions, by its Taylor series up to `order` (CCKD, arXiv 1904.01802)."""
    cosine = cosines(x, mask)
    terms = [(2 * gamma) ** power / math.factorial(power) * cosine**power for power in range(order + 1)]
    return math.exp(-2 * gamma) * torch.stack(terms).sum(0) * pairs(mask)


def affinities(x: Tensor, mask: Tensor) -> Tensor:
    """Each vector's probabilities of meeting the others, from their cosines (PKT, arXiv 1803.10837).

    A vector meets itself, too.
    """
    closeness = (cosines(x, mask) + 1) / 2 * pairs(mask)
    return closeness / closeness.sum(-1, keepdim=True).clamp(min=SMALLEST)


def channel_gram(x: Tensor, mask: Tensor) -> Tensor:
    """Mean over the H channels of the products of what each says of two vectors, a channel having length one.

    The total of the squared differences of two of them is the squared maximum mean discrepancy of both sides'
    channels under the kernel `(x y)^2` (NST, Huang & Wang, 2017, arXiv 1707.01219), at a fraction of the memory.
    """
    return gram(F.normalize(x * mask.unsqueeze(-1), dim=1), mask) / x.shape[-1]


def energy(x: Tensor, mask: Tensor, power: float = 2.0) -> Tensor:
    """Each vector's sum of powers, those of a group as a direction (AT, arXiv 1612.03928)."""
    return F.normalize(x.abs().pow(power).sum(-1) * mask, dim=-1)


def greatest_distances(x: Tensor, mask: Tensor) -> Tensor:
    """Squared distances in units of the greatest of their group (IRG, Liu et al., 2019)."""
    distances = squared_euclidean(x) * pairs(mask)
    return distances / distances.amax((1, 2), keepdim=True).clamp(min=SMALLEST)


def pairs(mask: Tensor) -> Tensor:
    """Which two of `[G, N]` are both there, `[G, N, N]`."""
    return mask.unsqueeze(1) & mask.unsqueeze(2)


def gram(x: Tensor, mask: Tensor) -> Tensor:
    """Dot products `[G, N, N]` of the vectors that are there."""
    real = x * mask.unsqueeze(-1)
    return real @ real.transpose(1, 2)


def squared_euclidean(x: Tensor) -> Tensor:
    """Squared distances `[G, N, N]`, not through `|x|^2 + |y|^2 - 2xy`, which loses the small ones."""
    return euclidean(x).square()


def euclidean(x: Tensor) -> Tensor:
    """Distances `[G, N, N]`; their gradient is zero where they are."""
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
