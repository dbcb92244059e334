import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge.reduction import mean_over_real


@given(st.lists(st.lists(st.tuples(st.floats(-10, 10), st.booleans()), min_size=3, max_size=3), min_size=1))
def test_equals_a_loop_over_the_real_values(rows):
    values = torch.tensor([[value for value, _ in row] for row in rows])
    mask = torch.tensor([[real for _, real in row] for row in rows])
    real = [value for row in rows for value, is_real in row if is_real]
    expected = sum(real) / len(real) if real else 0.0
    assert torch.allclose(mean_over_real(values, mask), torch.tensor(float(expected)), atol=1e-5)


def test_what_stands_on_padding_does_not_even_reach_the_gradient():
    values = torch.tensor([[1.0, float("nan")]], requires_grad=True)
    loss = mean_over_real(values, torch.tensor([[True, False]]))
    loss.backward()
    assert loss.item() == 1
    assert values.grad.tolist() == [[1.0, 0.0]]
