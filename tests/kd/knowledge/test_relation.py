import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge import relation
from kd.knowledge.relation import AngleRelation, DistanceRelation, SimilarityPreserving
from models.output import Field

TERMS = (DistanceRelation, AngleRelation, SimilarityPreserving)


def points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


def random_points(seed, rows=5, width=3):
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_distance_by_hand():
    """On a line: over their means the distances are (1/2, 3/2, 1) and (3/4, 3/2, 3/4)."""
    value = DistanceRelation().compare(points([0], [1], [3]), points([0], [1], [2]))
    assert value.item() == pytest.approx((2 * (1 / 32) + 2 * (1 / 32)) / 9)
    assert value.item() == pytest.approx(1 / 72)


def test_angle_by_hand():
    """A right angle against three points on a line."""
    corner, line = points([0, 0], [1, 0], [0, 1]), points([0, 0], [1, 0], [2, 0])
    assert AngleRelation().compare(corner, line).item() == pytest.approx(7 / 54)
    assert DistanceRelation().compare(corner, line).item() == pytest.approx(0.0716991, abs=1e-6)


def test_similarity_by_hand():
    value = SimilarityPreserving().compare(points([1, 0], [0, 1]), points([1, 0], [1, 0]))
    assert value.item() == pytest.approx(1 - 1 / math.sqrt(2))


def test_angles_equal_a_loop():
    x = random_points(0)
    computed = relation.angles(x)
    for j in range(5):
        for i in range(5):
            for k in range(5):
                expected = 0.0 if i == j or k == j else torch.cosine_similarity(x[i] - x[j], x[k] - x[j], dim=0).item()
                assert computed[j, i, k].item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("term", [DistanceRelation(), AngleRelation()])
@given(seed=st.integers(0, 2**31), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_shape_matters_but_not_size_place_or_direction(term, seed, scale, shift):
    learner, teacher = random_points(seed), random_points(seed + 1)
    rotation, _ = torch.linalg.qr(random_points(seed + 2, 3, 3))
    moved = scale * learner @ rotation + shift
    assert torch.allclose(term.compare(moved, teacher), term.compare(learner, teacher), atol=1e-8)


@given(seed=st.integers(0, 2**31), scale=st.floats(0.1, 10))
def test_similarities_do_not_see_size_or_direction(seed, scale):
    learner, teacher = random_points(seed), random_points(seed + 1)
    rotation, _ = torch.linalg.qr(random_points(seed + 2, 3, 3))
    term = SimilarityPreserving()
    assert torch.allclose(term.compare(scale * learner @ rotation, teacher), term.compare(learner, teacher))


@pytest.mark.parametrize("term", [DistanceRelation(), AngleRelation(), SimilarityPreserving()])
def test_widths_need_not_agree_and_gradients_are_right(term):
    learner, teacher = random_points(0, 4, 3).requires_grad_(), random_points(1, 4, 7)
    assert torch.autograd.gradcheck(lambda x: term.compare(x, teacher), learner)


@pytest.mark.parametrize("term", [DistanceRelation(), AngleRelation(), SimilarityPreserving()])
def test_the_order_of_a_batch_does_not_matter(term):
    learner, teacher, order = random_points(0), random_points(1), torch.tensor([3, 0, 4, 1, 2])
    assert torch.allclose(term.compare(learner[order], teacher[order]), term.compare(learner, teacher))


@pytest.mark.parametrize("make", TERMS)
def test_what_is_compared_are_the_mean_states_of_both_last_layers(make, make_spec, make_output):
    learner, teacher, term = make_spec(widths=(8, 8, 6)), make_spec(widths=(8,) * 5), make()
    assert term.requires(learner, teacher) == ({Field("mean_states", 2)}, {Field("mean_states", 4)})
    ours, theirs = make_output(learner, lengths=[2, 5, 1, 3]), make_output(teacher, seed=1, lengths=[2, 5, 1, 3])
    vectors = [
        torch.stack([row[real].mean(0) for row, real in zip(output.hidden_states[last], output.mask, strict=True)])
        for output, last in ((ours, 2), (theirs, 4))
    ]
    term.connect(learner, teacher)
    torch.testing.assert_close(term(ours, theirs, {}), term.compare(*vectors))


@pytest.mark.parametrize("make", TERMS)
def test_too_few_rows_cost_nothing_and_have_gradients(make, make_spec, make_output):
    spec, term = make_spec(), make()
    term.connect(spec, spec)
    one = make_output(spec, rows=term.rows - 1)
    one.mean_states[2].requires_grad_()
    loss = term(one, make_output(spec, rows=term.rows - 1, seed=1), {})
    loss.backward()
    assert loss == 0
    assert one.mean_states[2].grad.eq(0).all()
