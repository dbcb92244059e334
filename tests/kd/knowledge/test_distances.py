import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from kd.knowledge import distances

SEEDS = st.integers(0, 2**31)


def vectors(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", ["mse", "normalised_mse", "cosine", "smooth_l1", "soft_targets"])
@given(seed=SEEDS)
def test_equal_tensors_have_no_distance_and_others_a_positive_one(name, seed):
    distance = getattr(distances, name)
    x, y = vectors(seed, 2, 3, 5).unbind()
    assert torch.allclose(distance(x, x), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    assert (distance(x, y) > 0).all()


@pytest.mark.parametrize("name", ["mse", "normalised_mse", "cosine", "smooth_l1", "soft_targets"])
def test_gradients_are_right(name):
    x, y = vectors(3, 2, 4, 5).unbind()
    assert torch.autograd.gradcheck(lambda learner: getattr(distances, name)(learner, y), x.requires_grad_())


def test_soft_targets_by_hand():
    """KL((3/4, 1/4) || (1/2, 1/2)), and the same at T = 2, where the teacher's odds are the root of 3."""
    learner, teacher = torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert distances.soft_targets(learner, teacher).item() == pytest.approx(expected)
    p = math.sqrt(3) / (math.sqrt(3) + 1)
    softened = 4 * (p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p)))
    assert distances.soft_targets(learner, teacher, 2.0).item() == pytest.approx(softened)


def test_soft_targets_pull_towards_the_teacher():
    learner = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    distances.soft_targets(learner, torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)).sum().backward()
    assert torch.allclose(learner.grad, torch.tensor([[-0.25, 0.25]], dtype=torch.float64))


def test_soft_targets_at_a_high_temperature_are_logit_regression():
    learner, teacher = torch.tensor([[1.0, 2, -1]]).double(), torch.tensor([[0.5, -2, 3]]).double()
    centred = (learner - learner.mean()) - (teacher - teacher.mean())
    expected = centred.square().sum() / (2 * 3)
    assert distances.soft_targets(learner, teacher, 1e4).item() == pytest.approx(expected.item(), rel=1e-3)


@given(seed=SEEDS, shift=st.floats(-50, 50))
def test_soft_targets_do_not_see_a_shift_of_all_logits(seed, shift):
    x, y = vectors(seed, 2, 3, 5).unbind()
    assert torch.allclose(distances.soft_targets(x + shift, y, 2.0), distances.soft_targets(x, y, 2.0))


def test_soft_targets_equal_torchs_divergence():
    x, y = vectors(1, 2, 6, 4).unbind()
    ours = distances.soft_targets(x, y, 3.0).mean()
    theirs = F.kl_div((x / 3).log_softmax(-1), (y / 3).softmax(-1), reduction="batchmean") * 9
    assert torch.allclose(ours, theirs)


def test_huge_logits_in_low_precision_stay_finite():
    x = torch.tensor([[1e4, -1e4]], dtype=torch.bfloat16, requires_grad=True)
    loss = distances.soft_targets(x.float(), -x.detach().float()).sum()
    loss.backward()
    assert loss.isfinite()
    assert x.grad.isfinite().all()


def test_cosine_of_orthogonal_and_opposite_vectors():
    x = torch.tensor([[1.0, 0], [1, 0], [1, 0]])
    y = torch.tensor([[0.0, 2], [-3, 0], [5, 0]])
    assert distances.cosine(x, y).tolist() == pytest.approx([1, 2, 0])
    assert distances.normalised_mse(x, y).tolist() == pytest.approx([2, 4, 0])


def test_mse_averages_over_the_last_dimension():
    assert distances.mse(torch.tensor([[1.0, 2]]), torch.tensor([[1.0, 4]])).tolist() == [2.0]


def test_pairwise_distances_survive_a_far_away_centre():
    """The matrix form of the squared distance loses small distances far from the origin."""
    x = vectors(0, 40, 8).float() * 0.01 + 100
    expected = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.allclose(distances.pairwise(x).double(), expected, atol=1e-5)
    assert (distances.pairwise(x).diagonal() == 0).all()


def test_equal_rows_have_a_finite_gradient():
    x = torch.ones(3, 4, requires_grad=True)
    distances.pairwise(x).sum().backward()
    assert x.grad.isfinite().all()
