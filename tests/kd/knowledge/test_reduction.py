import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge.reduction import mean_over_real, mean_over_texts, total_over_texts

ROWS = st.lists(st.lists(st.tuples(st.floats(-10, 10), st.booleans()), min_size=3, max_size=3), min_size=1)


def tensors(rows):
    values = torch.tensor([[value for value, _ in row] for row in rows])
    return values, torch.tensor([[real for _, real in row] for row in rows])


def real(row):
    return [value for value, is_real in row if is_real]


@given(ROWS)
def test_equals_a_loop_over_the_real_values(rows):
    found = [value for row in rows for value in real(row)]
    expected = sum(found) / len(found) if found else 0.0
    assert mean_over_real(*tensors(rows)).item() == pytest.approx(expected, abs=1e-5)


@given(ROWS)
def test_every_text_counts_the_same(rows):
    means = [sum(real(row)) / len(real(row)) for row in rows if real(row)]
    expected = sum(means) / len(means) if means else 0.0
    assert mean_over_texts(*tensors(rows)).item() == pytest.approx(expected, abs=1e-5)


@given(ROWS)
def test_totals(rows):
    expected = sum(sum(real(row)) for row in rows) / len(rows)
    assert total_over_texts(*tensors(rows)).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("reduce", [mean_over_real, mean_over_texts, total_over_texts])
def test_what_stands_on_padding_does_not_even_reach_the_gradient(reduce):
    values = torch.tensor([[1.0, float("nan")]], requires_grad=True)
    loss = reduce(values, torch.tensor([[True, False]]))
    loss.backward()
    assert loss.item() == 1
    assert values.grad.tolist() == [[1.0, 0.0]]
