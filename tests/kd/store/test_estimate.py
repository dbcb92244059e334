from dataclasses import replace

import numpy as np
import pytest
import torch

from kd.store import ragged
from kd.store.estimate import bytes_needed, in_words, row_shape
from kd.store.store import Settings, Store
from models.heads import MASKED, SPANS, TAGS
from models.output import LOGITS, Field, ModelOutput

HALF = Settings("x", top_k=9)
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
    output = make_output(spec, rows=1, tokens=5)
    shape, (row,) = ragged.cut(output[field], output.sequence_dimensions(field), [3])
    assert row_shape(field, spec) == shape
    assert bytes_needed(frozenset({field}), spec, np.array([3]), HALF) == 2 * row.numel()


@pytest.mark.parametrize(("problem", "size", "about"), [(TAGS, (5, 2), "rows"), (SPANS, (2, 5), "choices")])
def test_so_are_logits_of_words(problem, size, about, make_spec):
    words = torch.ones(1, 5, dtype=torch.bool)
    output = ModelOutput.of({LOGITS: torch.randn(1, *size)}, words, **{about: words})
    shape, (row,) = ragged.cut(output.logits, output.sequence_dimensions(LOGITS), [3])
    spec = replace(make_spec(classes=2), problem=problem)
    assert row_shape(LOGITS, spec) == shape
    assert bytes_needed(frozenset({LOGITS}), spec, np.array([3]), HALF) == 2 * row.numel()


def test_logits_over_a_vocabulary_need_room_for_the_largest_alone(make_spec):
    """Of a tenth of 70 tokens, as many as a store then keeps."""
    spec = replace(make_spec(classes=50), problem=MASKED)
    values = torch.randn(1, 7, 50)
    parts = Store(HALF, "", {}).columns_of(LOGITS, values, (1,))
    kept = sum(part.numel() * part.element_size() for part in parts.values())
    assert bytes_needed(frozenset({LOGITS}), spec, np.array([70]), HALF, words_per_token=0.1) == kept


def test_fields_and_rows_add_up(make_spec):
    fields = frozenset({LOGITS, Field("hidden_states", 2), Field("attention_scores", 1)})
    spec = make_spec(widths=(8, 8, 8), heads=2, classes=3)
    needed = bytes_needed(fields, spec, np.array([2, 5]), Settings("x", dtype="float32"))
    assert needed == 4 * (3 * 2 + 8 * 7 + 2 * (4 + 25))


@pytest.mark.parametrize(("count", "words"), [(999, "999 bytes"), (37_020, "37.0 kB"), (7.581e8, "758.1 MB")])
def test_bytes_are_read_as_words(count, words):
    assert in_words(count) == words
