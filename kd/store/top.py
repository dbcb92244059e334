"""Logits over a vocabulary: the largest few, and the mass of all others in one number."""

import math

from torch import Tensor

TOP, CLASSES, REST = "top", "classes", "rest"


def column_names(count: int) -> dict[str, str]:
    """The columns of the parts of logits of which so many are kept."""
    return {part: f"logits_{part}{count}" for part in (TOP, CLASSES, REST)}


def compress(logits: Tensor, count: int) -> dict[str, Tensor]:
    """The `count` largest of `[..., C]` with their classes, and the logarithm of the others' summed exponentials."""
    top, classes = logits.topk(count, dim=-1)
    others = logits.scatter(-1, classes, -math.inf)
    return {TOP: top, CLASSES: classes.int(), REST: others.logsumexp(-1)}


def restore(top: Tensor, classes: Tensor, rest: Tensor, size: int) -> Tensor:
    """Logits `[..., size]` whose softmax gives each of the largest its very probability and the others' sum theirs.

    The others share it evenly. At a temperature other than 1 the largest keep their proportions, and the share of
    the others is that of an even spread.
    """
    even = rest.float() - math.log(max(1, size - top.shape[-1]))
    logits = even.unsqueeze(-1).expand(*rest.shape, size).contiguous()
    return logits.scatter(-1, classes.long(), top.float())
