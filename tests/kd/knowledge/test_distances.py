import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from kd.knowledge import distances

SEEDS = st.integers(0, 2**31)
STATES = ["mse", "normalised_mse", "standardised_mse", "cosine", "smooth_l1"]
LOGITS = ["soft_targets", "reverse_kl", "jensen_shannon"]
P, Q = torch.tensor([0.75, 0.25]).double(), torch.tensor([0.5, 0.5]).double()


def vectors(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("name", [*STATES, *LOGITS])
@given(seed=SEEDS)
def test_equal_tensors_have_no_distance_and_others_a_positive_one(name, seed):
    distance = getattr(distances, name)
    x, y = vectors(seed, 2, 3, 5).unbind()
    assert torch.allclose(distance(x, x), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    assert (distance(x, y) > 0).all()


@pytest.mark.parametrize("name", [*STATES, *LOGITS, "soft_cross_entropy"])
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


@pytest.mark.parametrize("name", LOGITS)
@given(seed=SEEDS, shift=st.floats(-50, 50))
def test_probabilities_do_not_see_a_shift_of_all_logits(name, seed, shift):
    distance = getattr(distances, name)
    x, y = vectors(seed, 2, 3, 5).unbind()
    assert torch.allclose(distance(x + shift, y, 2.0), distance(x, y, 2.0))


@pytest.mark.parametrize("name", [*LOGITS, "soft_cross_entropy", "hard_targets"])
@given(seed=SEEDS)
def test_the_names_of_the_classes_do_not_matter(name, seed):
    distance, order = getattr(distances, name), torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    x, y = vectors(seed, 2, 3, 5).unbind()
    assert torch.allclose(distance(x[:, order], y[:, order], 2.0), distance(x, y, 2.0))


def test_soft_targets_equal_torchs_divergence():
    x, y = vectors(1, 2, 6, 4).unbind()
    ours = distances.soft_targets(x, y, 3.0).mean()
    theirs = F.kl_div((x / 3).log_softmax(-1), (y / 3).softmax(-1), reduction="batchmean") * 9
    assert torch.allclose(ours, theirs)


def test_divergences_by_hand():
    """Of p = (3/4, 1/4) and q = (1/2, 1/2)."""
    learner, teacher = Q.log(), P.log()
    assert distances.reverse_kl(learner, teacher).item() == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2))
    m = (0.625, 0.375)
    js = sum(0.5 * x * math.log(x / z) for side in (P, Q) for x, z in zip(side.tolist(), m, strict=True))
    assert distances.jensen_shannon(learner, teacher).item() == pytest.approx(js)
    assert js == pytest.approx(0.0338221, abs=1e-7)
    for mix, expected in ((0.1, 0.0118307), (0.9, 0.0127524)):
        assert distances.jensen_shannon(learner, teacher, mix=mix).item() == pytest.approx(expected, abs=1e-7)


def test_the_ends_of_the_generalised_divergence():
    learner, teacher = Q.log(), P.log()
    forward = distances.jensen_shannon(learner, teacher, mix=1e-6) / 1e-6
    backward = distances.jensen_shannon(learner, teacher, mix=1 - 1e-6) / 1e-6
    assert forward.item() == pytest.approx(distances.soft_targets(learner, teacher).item(), rel=1e-4)
    assert backward.item() == pytest.approx(distances.reverse_kl(learner, teacher).item(), rel=1e-4)


@given(seed=SEEDS)
def test_jensen_shannon_is_symmetric_and_bounded(seed):
    x, y = (10 * vectors(seed, 2, 3, 5)).unbind()
    value = distances.jensen_shannon(x, y)
    assert torch.allclose(value, distances.jensen_shannon(y, x))
    assert (value <= math.log(2) + 1e-9).all()


def test_near_equality_all_divergences_agree_up_to_a_factor():
    x = vectors(0, 4, 5)
    y = x + 1e-3 * vectors(1, 4, 5)
    forward = distances.soft_targets(x, y)
    assert torch.allclose(distances.reverse_kl(x, y), forward, rtol=1e-2)
    assert torch.allclose(4 * distances.jensen_shannon(x, y), forward, rtol=1e-2)


def test_cross_entropy_is_torchs_and_the_divergence_plus_the_teachers_entropy():
    x, y = vectors(1, 2, 6, 4).unbind()
    p = y.softmax(-1)
    value = distances.soft_cross_entropy(x, y)
    assert torch.allclose(value, F.cross_entropy(x, p, reduction="none"))
    assert torch.allclose(value, distances.soft_targets(x, y) - (p * p.log()).sum(-1))


@pytest.mark.parametrize("name", [*LOGITS, "soft_cross_entropy", "hard_targets"])
def test_huge_logits_in_low_precision_stay_finite(name):
    x = torch.tensor([[1e4, -1e4]], dtype=torch.bfloat16, requires_grad=True)
    loss = getattr(distances, name)(x.float(), -x.detach().float()).sum()
    loss.backward()
    assert loss.isfinite()
    assert x.grad.isfinite().all()


def test_cosine_of_orthogonal_and_opposite_vectors():
    x = torch.tensor([[1.0, 0], [1, 0], [1, 0]])
    y = torch.tensor([[0.0, 2], [-3, 0], [5, 0]])
    assert distances.cosine(x, y).tolist() == pytest.approx([1, 2, 0])
    assert distances.normalised_mse(x, y).tolist() == pytest.approx([2, 4, 0])


def test_patient_distance_by_hand():
    """Of (3, 4) and (4, 3): twice one minus the cosine, 24/25."""
    value = distances.normalised_mse(torch.tensor([3.0, 4.0]), torch.tensor([4.0, 3.0]))
    assert value.item() == pytest.approx(2 / 25)


def test_standardised_states_do_not_see_scale_and_shift():
    x = 10 * vectors(0, 3, 8)
    assert torch.allclose(distances.standardised_mse(5 * x + 3, x), torch.zeros(3).double(), atol=1e-6)
    value = distances.standardised_mse(torch.tensor([1.0, -1.0]), torch.tensor([-1.0, 1.0]))
    assert value.item() == pytest.approx(4, rel=1e-4)


def test_mse_averages_over_the_last_dimension():
    assert distances.mse(torch.tensor([[1.0, 2]]), torch.tensor([[1.0, 4]])).tolist() == [2.0]


def test_hard_targets_are_the_most_likely_class():
    x, y = vectors(5, 2, 4, 6).unbind()
    expected = F.cross_entropy(x / 2, y.argmax(-1), reduction="none")
    torch.testing.assert_close(distances.hard_targets(x, y, 2.0), expected)
