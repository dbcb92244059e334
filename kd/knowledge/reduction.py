"""From a value a position to one number; padding never counts."""

import torch
from torch import Tensor


def mean_over_real(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` (of a shape that broadcasts) is true; zero where it nowhere is."""
    mask = mask.expand_as(values)
    return torch.where(mask, values, 0).sum() / mask.sum().clamp(min=1)
