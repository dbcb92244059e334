"""How much room a store needs, known before the teacher is asked."""

import math

import numpy as np

from kd.store.ragged import LENGTH, Shape
from kd.store.store import DTYPES
from models.heads import TAGS
from models.output import Field, Fields, Spec

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def row_shape(field: Field, spec: Spec) -> Shape:
    """Shape of what a model gives of one text in a field, -1 standing for its tokens."""
    if field.layer is None:
        return (LENGTH, spec.classes) if spec.problem == TAGS else (spec.classes,)
    width, heads = spec.widths[field.layer], spec.heads or 1
    shapes = {
        "hidden_states": (LENGTH, width),
        "mean_states": (width,),
        "cls_states": (width,),
        "attention_scores": (heads, LENGTH, LENGTH),
    }
    return shapes.get(field.name, (heads, LENGTH, width // heads))


def bytes_needed(fields: Fields, spec: Spec, lengths: np.ndarray, dtype: str) -> int:
    """Bytes of the fields for texts of so many tokens."""
    numbers = 0.0
    for field in fields:
        shape = row_shape(field, spec)
        fixed = math.prod(size for size in shape if size != LENGTH)
        numbers += fixed * (lengths.astype(np.float64) ** shape.count(LENGTH)).sum()
    return int(numbers * DTYPES[dtype].itemsize)


def in_words(count: float) -> str:
    """A number of bytes for a reader: 19.2 MB."""
    unit = min(int(math.log10(max(1, count)) // 3), len(UNITS) - 1)
    return f"{count / 1000**unit:.{1 if unit else 0}f} {UNITS[unit]}"
