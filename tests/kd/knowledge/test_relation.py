import math
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge import pairing, structures
from kd.knowledge.differences import divergence, huber, squared
from kd.knowledge.projection import Direct
from kd.knowledge.reduction import total_over_texts
from kd.knowledge.relation import (
    FlowMatrices,
    KernelAlignment,
    Relation,
    StepLengths,
    all_there,
    flow,
    kernel_alignment,
)
from models.output import Field
from potstill.errors import UserError


def points(*rows):
    return torch.tensor([rows], dtype=torch.float64)


def cost(structure, difference, ours, theirs, **options):
    mask = torch.ones(ours.shape[:2], dtype=torch.bool)
    return Relation(structure, difference, **options).compare(ours, theirs, mask).item()


def test_distances_by_hand():
    """On a line: over their means the distances are (1/2, 3/2, 1) and (3/4, 3/2, 3/4)."""
    value = cost(structures.relative_distances, huber, points([0], [1], [3]), points([0], [1], [2]))
    assert value == pytest.approx((2 * (1 / 32) + 2 * (1 / 32)) / 9)
    assert value == pytest.approx(1 / 72)


def test_angles_by_hand():
    """A right angle against three points on a line."""
    corner, line = points([0, 0], [1, 0], [0, 1]), points([0, 0], [1, 0], [2, 0])
    assert cost(structures.angles, huber, corner, line) == pytest.approx(7 / 54)
    assert cost(structures.relative_distances, huber, corner, line) == pytest.approx(0.0716991, abs=1e-6)


def test_the_others_by_hand():
    """Orthogonal vectors against equal ones."""
    apart, together = points([1, 0], [0, 1]), points([1, 0], [1, 0])
    assert cost(structures.similarities, squared, apart, together) == pytest.approx(1 - 1 / math.sqrt(2))
    assert cost(structures.radial_basis, squared, apart, together) == pytest.approx(0.126629, abs=1e-6)
    assert cost(structures.affinities, divergence, apart, together) == pytest.approx(0.0294458, abs=1e-7)


def test_totals_by_hand():
    total = {"reduction": total_over_texts}
    ours, theirs = points([1, 0], [0, 2]), points([0, 2], [1, 0])
    assert cost(structures.energy, squared, ours, theirs, **total) == pytest.approx(1.058824, abs=1e-6)
    assert cost(structures.channel_gram, squared, points([1], [0]), points([0], [3]), **total) == pytest.approx(2)


def test_which_entries_are_real():
    mask = torch.tensor([[True, True, False]])
    assert all_there(mask, 2).tolist() == mask.tolist()
    assert all_there(mask, 3)[0].tolist() == [[True, True, False], [True, True, False], [False, False, False]]
    assert all_there(mask, 4).sum() == 8


@pytest.mark.parametrize("structure", [structures.relative_distances, structures.angles, structures.similarities])
def test_what_is_compared_are_the_mean_states_of_both_last_layers(structure, make_spec, make_output):
    learner, teacher, term = make_spec(widths=(8, 8, 6)), make_spec(widths=(8,) * 5), Relation(structure)
    assert term.requires(learner, teacher) == ({Field("mean_states", 2)}, {Field("mean_states", 4)})
    ours, theirs = make_output(learner, lengths=[2, 5, 1, 3]), make_output(teacher, seed=1, lengths=[2, 5, 1, 3])
    vectors = [
        torch.stack([row[real].mean(0) for row, real in zip(output.hidden_states[last], output.mask, strict=True)])
        for output, last in ((ours, 2), (theirs, 4))
    ]
    term.connect(learner, teacher)
    expected = term.compare(vectors[0][None], vectors[1][None], torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(term(ours, theirs, {}), expected)


def test_tokens_of_each_text_equal_a_loop(make_spec, make_output):
    spec, lengths = make_spec(), [2, 5, 1, 3]
    term = Relation(structures.cosines, read="hidden_states")
    term.connect(spec, spec)
    ours, theirs = make_output(spec, lengths=lengths), make_output(spec, seed=1, lengths=lengths)
    means = []
    for row, length in enumerate(lengths):
        one, other = (output.hidden_states[2][row : row + 1, :length] for output in (ours, theirs))
        means.append(term.compare(one, other, torch.ones(1, length, dtype=torch.bool)))
    torch.testing.assert_close(term(ours, theirs, {}), torch.stack(means).mean())


def test_alignment_by_hand():
    """CKA of these is the root of 5/8."""
    x, y = points([1, 0], [0, 1], [-1, -1], [9, 9])[0], points([1], [0], [-1], [5])[0]
    there = torch.tensor([True, True, True, False])
    assert kernel_alignment(x, y, there).item() == pytest.approx(math.sqrt(5 / 8))


def test_alignment_equals_that_of_centred_gram_matrices():
    x, y = torch.randn(6, 3, dtype=torch.float64), torch.randn(6, 5, dtype=torch.float64)
    centre = torch.eye(6).double() - 1 / 6
    k, m = (centre @ some @ some.T @ centre for some in (x, y))
    expected = (k * m).sum() / (k.norm() * m.norm())
    assert kernel_alignment(x, y, torch.ones(6, dtype=torch.bool)).item() == pytest.approx(expected.item())


@given(seed=st.integers(0, 2**31), scale=st.floats(0.1, 10), shift=st.floats(-5, 5))
def test_alignment_does_not_see_size_place_or_direction(seed, scale, shift):
    draw = torch.Generator().manual_seed(seed)
    x, y, any_ = (torch.randn(*shape, generator=draw, dtype=torch.float64) for shape in ((6, 3), (6, 5), (3, 3)))
    there, turned = torch.ones(6, dtype=torch.bool), scale * x @ torch.linalg.qr(any_)[0] + shift
    assert torch.allclose(kernel_alignment(turned, y, there), kernel_alignment(x, y, there), atol=1e-7)


def test_alignment_of_two_rows_and_of_constant_ones():
    there = torch.ones(2, dtype=torch.bool)
    assert kernel_alignment(torch.randn(2, 3), torch.randn(2, 5), there).item() == pytest.approx(1, abs=1e-4)
    constant = torch.ones(2, 3, requires_grad=True)
    value = kernel_alignment(constant, torch.randn(2, 5), there)
    value.backward()
    assert value.item() == 1
    assert constant.grad.eq(0).all()


def test_alignment_is_that_of_all_real_tokens(make_spec, make_output):
    spec, lengths = make_spec(), [2, 5, 1, 3]
    term = KernelAlignment(pairing.last)
    term.connect(spec, spec)
    ours, theirs = make_output(spec, lengths=lengths), make_output(spec, seed=1, lengths=lengths)
    one, other = (output.hidden_states[2][output.mask] for output in (ours, theirs))
    expected = 1 - kernel_alignment(one, other, torch.ones(sum(lengths), dtype=torch.bool))
    assert term(ours, theirs, {}).item() == pytest.approx(expected.item(), rel=1e-4)


def test_relations_of_words(make_spec, make_output, in_words):
    learner, teacher = make_spec(tokenizer="a"), make_spec(tokenizer="b")
    term = Relation(structures.cosines, read="hidden_states")
    assert term.fits(learner, teacher) is None
    term.connect(learner, teacher)
    ours, theirs = make_output(learner, rows=1, tokens=3), make_output(teacher, rows=1, tokens=4, seed=1)
    batch = in_words(3, a=[[0, 0, 1]], b=[[-1, 0, 1, 2]])
    one, other = ours.hidden_states[2], theirs.hidden_states[2]
    words = torch.stack([one[:, :2].mean(1), one[:, 2]], 1), other[:, 1:3]
    torch.testing.assert_close(term(ours, theirs, batch), term.compare(*words, torch.ones(1, 2, dtype=torch.bool)))


def test_only_states_lie_to_one_another():
    with pytest.raises(UserError, match="read='logits' is none of cls_states, hidden_states, mean_states"):
        Relation(structures.cosines, read="logits")


def test_flow_by_hand():
    lower, upper = points([1, 2], [3, 4], [9, 9]), points([1, 0], [0, 1], [9, 9])
    assert flow(lower, upper, torch.tensor([[True, True, False]]))[0].tolist() == [[0.5, 1.5], [1, 2]]


def test_flow_does_not_see_the_order_of_the_tokens():
    lower, upper, mask = torch.randn(1, 4, 3), torch.randn(1, 4, 2), torch.ones(1, 4, dtype=torch.bool)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(flow(lower[:, order], upper[:, order], mask), flow(lower, upper, mask))
    torch.testing.assert_close(flow(3 * lower, 3 * upper, mask), 9 * flow(lower, upper, mask))


def test_flows_equal_a_loop(make_spec, make_output):
    learner, teacher = make_spec(widths=(8,) * 3), make_spec(widths=(8,) * 5)
    term = FlowMatrices(pairing.uniform)
    term.connect(learner, teacher)
    ours, theirs = make_output(learner, lengths=[2, 5, 1, 3]), make_output(teacher, seed=1, lengths=[2, 5, 1, 3])
    expected = 0.0
    for (low, its_low), (high, its_high) in [((0, 0), (1, 2)), ((1, 2), (2, 4))]:
        for row, length in enumerate([2, 5, 1, 3]):
            one = ours.hidden_states[low][row, :length].T @ ours.hidden_states[high][row, :length] / length
            other = (
                theirs.hidden_states[its_low][row, :length].T @ theirs.hidden_states[its_high][row, :length] / length
            )
            expected += (one - other).square().mean().item() / 4
    assert term(ours, theirs, {}).item() == pytest.approx(expected, rel=1e-5)


def test_steps_by_hand(make_spec, make_output):
    spec = make_spec(widths=(1, 1, 1))
    term = StepLengths(partial(pairing.last, count=2))
    term.connect(spec, spec)
    ours, theirs = make_output(spec, rows=2), make_output(spec, rows=2)
    ours.mean_states = {1: torch.zeros(2, 1), 2: torch.tensor([[1.0], [2.0]])}
    theirs.mean_states = {1: torch.zeros(2, 1), 2: torch.tensor([[3.0], [3.0]])}
    assert term(ours, theirs, {}).item() == pytest.approx(0.75**2 / 2)


def test_between_pairs_there_have_to_be_two(make_spec):
    spec = make_spec()
    for term in (FlowMatrices(pairing.last), StepLengths(pairing.last)):
        assert term.fits(spec, spec) == "it is about what happens between pairs of layers, and there is 1"


def test_widths_that_do_not_match_are_named(make_spec):
    uneven, even = make_spec(widths=(4, 8, 8)), make_spec()
    reason = "between layers of the learner that are 4 and 8 wide there is no distance"
    assert StepLengths(pairing.uniform).fits(uneven, even) == reason
    assert "nothing projects it" in FlowMatrices(pairing.uniform, Direct()).fits(uneven, even)
    assert FlowMatrices(pairing.uniform).fits(uneven, even) is None
