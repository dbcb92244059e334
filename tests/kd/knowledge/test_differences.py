import math

import torch

from kd.knowledge import differences


def test_by_hand():
    x, y = torch.tensor([1.0, 0.5, -3.0]), torch.tensor([1.0, 0.0, 1.0])
    assert differences.squared(x, y).tolist() == [0, 0.25, 16]
    assert differences.huber(x, y).tolist() == [0, 0.125, 3.5]


def test_divergence_adds_up_to_that_of_the_rows():
    x, y = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.75, 0.25]])
    total = differences.divergence(x, y).sum().item()
    assert math.isclose(total, 0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel_tol=1e-6)


def test_no_probability_on_either_side_is_no_divergence():
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    value = differences.divergence(x, torch.tensor([0.0, 1.0]))
    value.sum().backward()
    assert value.tolist() == [0, 0]
    assert x.grad.isfinite().all()
