"""Logits over a vocabulary: the largest few, and the mass of all others in one number."""

import math

from torch import Tensor

COLUMNS = TOP, CLASSES, REST = "logits_top", "logits_classes", "logits_rest"


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
