import numpy as np
import pytest

from kd.store import ragged
from kd.store.estimate import bytes_needed, in_words, row_shape
from models.output import LOGITS, Field, sequence_dimensions

FIELDS = [
    LOGITS,
    Field("hidden_states", 2),
    Field("mean_states", 0),
    Field("cls_states", 1),
    Field("attention_scores", 1),
    Field("queries", 2),
]


@pytest.mark.parametrize("field", FIELDS)
def test_a_row_is_as_large_as_what_a_model_gives(field, make_spec, make_output):
    spec = make_spec(widths=(6, 8, 8), heads=2)
    tensor = make_output(spec, rows=1, tokens=5)[field]
    shape, (row,) = ragged.cut(tensor, sequence_dimensions(field, tensor.dim()), [3])
    assert row_shape(field, spec) == shape
    assert bytes_needed(frozenset({field}), spec, np.array([3]), "float16") == 2 * row.numel()


def test_fields_and_rows_add_up(make_spec):
    fields = frozenset({LOGITS, Field("hidden_states", 2), Field("attention_scores", 1)})
    spec = make_spec(widths=(8, 8, 8), heads=2, classes=3)
    assert bytes_needed(fields, spec, np.array([2, 5]), "float32") == 4 * (3 * 2 + 8 * 7 + 2 * (4 + 25))


@pytest.mark.parametrize(("count", "words"), [(999, "999 bytes"), (37_020, "37.0 kB"), (7.581e8, "758.1 MB")])
def test_bytes_are_read_as_words(count, words):
    assert in_words(count) == words
