"""From values to one number; padding never counts.

Each takes values `[B, ...]` and a mask of a shape that broadcasts to theirs, true where they are real.
"""

import torch
from torch import Tensor


def mean_over_real(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of all real values: each counts the same, so that long texts count more; zero where there are none."""
    mask = mask.expand_as(values)
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)


def mean_over_texts(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over texts of each text's own mean: texts count the same, however long; those without values do not."""
    mask = mask.expand_as(values)
    counts = mask.flatten(1).sum(1)
    means = torch.where(mask, values, 0).flatten(1).sum(1) / counts.clamp(min=1)
    return means.sum() / (counts > 0).sum().clamp(min=1)


def total_over_texts(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over texts of each text's sum."""
    return torch.where(mask.expand_as(values), values, 0).flatten(1).sum(1).mean()
