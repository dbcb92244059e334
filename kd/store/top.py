"""Logits over a vocabulary: the largest few, and the mass of all others in one number."""

import math
from typing import NamedTuple

from torch import Tensor


class Largest(NamedTuple):
    """What is kept of logits `[..., C]`.

    Args:
        top: the largest of them, `[..., k]`.
        classes: which they are.
        rest: the logarithm of the others' summed exponentials, `[...]`.
    """

    top: Tensor
    classes: Tensor
    rest: Tensor


def column_names(count: int) -> dict[str, str]:
    """The columns of the parts of logits of which so many are kept."""
    return {part: f"logits_{part}{count}" for part in Largest._fields}


def compress(logits: Tensor, count: int) -> Largest:
    """The `count` largest of `[..., C]`."""
    top, classes = logits.topk(count, dim=-1)
    others = logits.scatter(-1, classes, -math.inf)
    return Largest(top, classes.int(), others.logsumexp(-1))


def restore(largest: Largest, size: int) -> Tensor:
    """Logits `[..., size]` whose softmax gives each of the largest its very probability and the others' sum theirs.

    The others share it evenly. At a temperature other than 1 the largest keep their proportions, and the share of
    the others is that of an even spread.
    """
    top, classes, rest = largest
    even = rest.float() - math.log(max(1, size - top.shape[-1]))
    logits = even.unsqueeze(-1).expand(*rest.shape, size).contiguous()
    return logits.scatter(-1, classes.long(), top.float())
