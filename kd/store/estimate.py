"""How much room a store needs, known before the teacher is asked."""

import math

import numpy as np

from kd.store.ragged import LENGTH, Shape
from kd.store.store import DTYPES, Settings
from models import heads
from models.output import LOGITS, Field, Fields, Spec

CLASS_BYTES = 4  # of the number of one of the largest logits
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def row_shape(field: Field, spec: Spec) -> Shape:
    """Shape of what a model gives of one text in a field, -1 standing for its tokens."""
    if field.layer is None:
        match spec.problem:
            case heads.SPANS:
                return (spec.classes, LENGTH)
            case heads.TAGS | heads.MASKED:
                return (LENGTH, spec.classes)
            case _:
                return (spec.classes,)
    width, count = spec.widths[field.layer], spec.heads or 1
    shapes = {
        "hidden_states": (LENGTH, width),
        "mean_states": (width,),
        "cls_states": (width,),
        "attention_scores": (count, LENGTH, LENGTH),
    }
    return shapes.get(field.name, (count, LENGTH, width // count))


def bytes_needed(
    fields: Fields, spec: Spec, lengths: np.ndarray, settings: Settings, words_per_token: float = 1.0
) -> int:
    """Bytes of the fields for texts of so many tokens, and so many words with logits of their own a token."""
    size, needed = DTYPES[settings.dtype].itemsize, 0.0
    for field in fields:
        shape = row_shape(field, spec)
        positions = lengths * (words_per_token if field == LOGITS else 1.0)
        fixed = size * math.prod(count for count in shape if count != LENGTH)
        if field == LOGITS and shape[0] == LENGTH and spec.classes > settings.top_k:
            fixed = settings.top_k * (size + CLASS_BYTES) + size
        needed += fixed * (positions ** shape.count(LENGTH)).sum()
    return int(needed)


def in_words(count: float) -> str:
    """A number of bytes for a reader: 19.2 MB."""
    unit = min(int(math.log10(max(1, count)) // 3), len(UNITS) - 1)
    return f"{count / 1000**unit:.{1 if unit else 0}f} {UNITS[unit]}"
