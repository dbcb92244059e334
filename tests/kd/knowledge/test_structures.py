import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge import structures

SEEDS = st.integers(0, 2**31)
SCALES = st.floats(0.1, 10)
ALL = [
    "relative_distances",
    "angles",
    "similarities",
    "cosines",
    "radial_basis",
    "affinities",
    "channel_gram",
    "energy",
    "greatest_distances",
]


def points(*rows):
    return torch.tensor([rows], dtype=torch.float64)


def random_points(seed, rows=5, width=3, groups=1):
    return torch.randn(groups, rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed, width=3):
    return torch.linalg.qr(random_points(seed, width, width)[0])[0]


def of(name, x, mask=None):
    mask = torch.ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
    return getattr(structures, name)(x, mask)


def test_distances_by_hand():
    """On a line: 1, 3 and 2 in units of their mean, 2."""
    assert of("relative_distances", points([0], [1], [3]))[0].tolist() == [[0, 0.5, 1.5], [0.5, 0, 1], [1.5, 1, 0]]
    assert of("greatest_distances", points([0], [1], [2]))[0].tolist() == [[0, 0.25, 1], [0.25, 0, 0.25], [1, 0.25, 0]]


def test_angles_equal_a_loop():
    x = random_points(0)[0]
    computed = of("angles", x[None])[0]
    for j in range(5):
        for i in range(5):
            for k in range(5):
                expected = 0.0 if i == j or k == j else torch.cosine_similarity(x[i] - x[j], x[k] - x[j], dim=0).item()
                assert computed[j, i, k].item() == pytest.approx(expected, abs=1e-9)


def test_nearness_by_hand():
    """Of orthogonal directions: the diagonal to second order, and exp(-0.8) beside it."""
    beside, diagonal = math.exp(-0.8), math.exp(-0.8) * (1 + 0.8 + 0.32)
    values = of("radial_basis", points([2, 0], [0, 5]))[0].flatten().tolist()
    assert values == pytest.approx([diagonal, beside, beside, diagonal])


def test_nearness_to_a_high_order_is_exact():
    x = random_points(0)
    series = structures.radial_basis(x, torch.ones(1, 5, dtype=torch.bool), order=30)
    directions = torch.nn.functional.normalize(x, dim=-1)
    assert torch.allclose(series, (-0.4 * torch.cdist(directions, directions).square()).exp())


def test_affinities_by_hand():
    assert of("affinities", points([1, 0], [0, 3]))[0].flatten().tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert of("affinities", points([1, 0], [4, 0]))[0].flatten().tolist() == pytest.approx([0.5] * 4)


def test_energy_by_hand():
    assert of("energy", points([1, 0], [0, 2]))[0].tolist() == pytest.approx([1 / math.sqrt(17), 4 / math.sqrt(17)])


def test_channels_equal_a_loop_over_the_kernel():
    """The squared maximum mean discrepancy under (x y)^2 between two sets of channels."""
    x, y = random_points(0, 4, 3), random_points(1, 4, 6)
    ours, theirs = of("channel_gram", x), of("channel_gram", y)
    mine, its = (torch.nn.functional.normalize(some[0], dim=0).T for some in (x, y))

    def kernel(one, other):
        return sum(float(a @ b) ** 2 for a in one for b in other) / (len(one) * len(other))

    expected = kernel(mine, mine) + kernel(its, its) - 2 * kernel(mine, its)
    assert (ours - theirs).square().sum().item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["relative_distances", "angles", "greatest_distances"])
@given(seed=SEEDS, scale=SCALES, shift=st.floats(-5, 5))
def test_shape_matters_but_not_size_place_or_direction(name, seed, scale, shift):
    x = random_points(seed)
    assert torch.allclose(of(name, scale * x @ rotation(seed + 1) + shift), of(name, x), atol=1e-7)


@pytest.mark.parametrize("name", ["similarities", "cosines", "radial_basis", "affinities"])
@given(seed=SEEDS, scale=SCALES)
def test_size_and_direction_do_not_matter(name, seed, scale):
    x = random_points(seed)
    assert torch.allclose(of(name, scale * x @ rotation(seed + 1)), of(name, x))


@given(seed=SEEDS, scale=SCALES)
def test_energy_does_not_see_signs_order_or_rotation_of_the_dimensions(seed, scale):
    x = random_points(seed)
    for changed in (-x, x[..., [2, 0, 1]], scale * x, x @ rotation(seed + 1)):
        assert torch.allclose(of("energy", changed), of("energy", x))


@given(seed=SEEDS)
def test_channels_have_no_order_and_no_sign(seed):
    x = random_points(seed)
    assert torch.allclose(of("channel_gram", -x[..., [2, 0, 1]]), of("channel_gram", x))


@pytest.mark.parametrize("name", ALL)
@given(seed=SEEDS)
def test_the_order_of_the_vectors_is_theirs(name, seed):
    x, order = random_points(seed), torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    value = of(name, x)
    for dimension in range(1, value.dim()):
        value = value.index_select(dimension, order)
    assert torch.allclose(of(name, x[:, order]), value, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
@given(seed=SEEDS, content=st.floats(-100, 100))
def test_what_is_not_there_changes_nothing(name, seed, content):
    x = random_points(seed)
    longer = torch.cat([x, torch.full((1, 2, 3), content).double()], 1)
    mask = torch.arange(7)[None] < 5
    value, expected = of(name, longer, mask), of(name, x)
    for dimension in range(1, value.dim()):
        value, rest = value.split([5, 2], dimension)
        assert rest.eq(0).all()
    assert torch.allclose(value, expected, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_groups_do_not_see_each_other(name):
    x = random_points(0, groups=3)
    assert torch.allclose(of(name, x)[1:2], of(name, x[1:2]))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("x", [torch.ones(1, 3, 4), torch.zeros(1, 3, 4), torch.ones(1, 1, 4)], ids=["1", "0", "one"])
def test_equal_vectors_have_finite_gradients(name, x):
    x = x.clone().requires_grad_()
    of(name, x).sum().backward()
    assert x.grad.isfinite().all()


def test_two_vectors_in_one_place_pull_with_a_bounded_gradient():
    """Where the other side has them apart."""
    x, goal = torch.randn(1, 4, 8), torch.randn(1, 4, 8)
    x[0, 1] = x[0, 0] + 1e-8
    x.requires_grad_()
    (of("angles", x) - of("angles", goal)).square().mean().backward()
    assert x.grad.abs().max() < 10


def test_distances_survive_a_far_away_centre():
    """The matrix form of the squared distance loses small distances far from the origin."""
    x = random_points(0, 40, 8).float() * 0.01 + 100
    expected = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert torch.allclose(structures.euclidean(x).double(), expected, atol=1e-5)
    assert (structures.euclidean(x)[0].diagonal() == 0).all()


def test_cosines_and_distances_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics.pairwise")
    x = random_points(0)
    assert torch.allclose(of("cosines", x)[0], torch.from_numpy(metrics.cosine_similarity(x[0])))
    assert torch.allclose(structures.euclidean(x)[0], torch.from_numpy(metrics.euclidean_distances(x[0])), atol=1e-7)
