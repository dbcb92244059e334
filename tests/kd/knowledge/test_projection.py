import pytest
import torch

from kd.knowledge.projection import Direct, Linear, widths_of
from potstill.errors import UserError


def parameters(projections):
    return [tuple(weight.shape) for weight in projections.parameters()]


def test_only_layers_of_other_widths_are_projected():
    projections = Linear().projections({0: (8, 8), 1: (6, 8)})
    assert parameters(projections) == [(8, 6), (8,)]
    states = torch.ones(2, 3, 8)
    assert projections(0, states) is states
    assert projections(1, torch.ones(2, 3, 6)).shape == (2, 3, 8)


def test_each_layer_has_its_own_or_all_share_one():
    widths = {1: (6, 8), 2: (6, 8), 3: (6, 8)}
    assert len(parameters(Linear().projections(widths))) == 6
    shared = Linear(shared=True).projections(widths)
    assert len(parameters(shared)) == 2
    states = torch.ones(2, 6)
    assert shared(1, states).equal(shared(3, states))


def test_layers_of_two_widths_cannot_share_one():
    reason = Linear(shared=True).refusal({0: (4, 8), 1: (6, 8)})
    assert reason == "one projection is to serve layers of the widths 4 and 6"
    assert Linear(shared=True).refusal({0: (8, 8), 1: (6, 8)}) is None
    assert Linear().refusal({0: (4, 8), 1: (6, 8)}) is None


def test_orthogonal_weights_keep_angles():
    projections = Linear(orthogonal=True).projections({1: (4, 16)})
    x = torch.randn(5, 4)
    y = projections(1, x)
    torch.testing.assert_close(y @ y.T, x @ x.T)


def test_without_projection_widths_have_to_agree():
    assert Direct().refusal({1: (8, 8)}) is None
    reason = Direct().refusal({1: (8, 8), 2: (6, 8)})
    assert reason == "layer 2 of the learner is 6 wide, the teacher's 8, and nothing projects it"
    assert parameters(Direct().projections({1: (8, 8)})) == []


def test_widths_of_paired_layers(make_spec):
    learner, teacher = make_spec(widths=(4, 6, 6)), make_spec(widths=(8, 8, 9))
    assert widths_of([(0, 0), (1, 1)], learner, teacher) == {0: (4, 8), 1: (6, 8)}
    with pytest.raises(UserError, match="layer 1 of the learner is paired with layers of the teacher 8 and 9 wide"):
        widths_of([(1, 1), (1, 2)], learner, teacher)
