import itertools
import math
from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge import pairing
from kd.knowledge.matching import AttentionWeighted, OptimalTransport, RandomChoice, Sum, cheaper_more, transport
from potstill.errors import UserError


def compare(one, other):
    return (one - other).square().mean()


def layers(seed, *numbers, shape=(2, 4)):
    draw = torch.Generator().manual_seed(seed)
    return {number: torch.randn(*shape, generator=draw) for number in numbers}


def connected(matching, pairs):
    matching.connect(pairs)
    return matching


def test_the_sum_of_all_pairs():
    ours, theirs = layers(0, 1, 2), layers(1, 2, 4)
    expected = compare(ours[1], theirs[2]) + compare(ours[2], theirs[4])
    assert connected(Sum(), [(1, 2), (2, 4)])(ours, theirs, compare) == expected


def test_another_partner_for_each_layer_in_order():
    ours, theirs = layers(0, 1, 2), layers(1, 1, 2, 3)
    matching = connected(RandomChoice(), pairing.every(2, 3))
    possible = {
        round((compare(ours[1], theirs[one]) + compare(ours[2], theirs[other])).item(), 5)
        for one, other in itertools.combinations((1, 2, 3), 2)
    }
    torch.manual_seed(0)
    found = {round(matching(ours, theirs, compare).item(), 5) for _ in range(200)}
    assert found == possible


def test_fewer_partners_than_layers():
    assert RandomChoice().refusal(pairing.every(3, 2)) == "3 layers cannot draw from 2"
    assert RandomChoice().refusal(pairing.every(2, 3)) is None


def test_drawing_follows_the_seed():
    ours, theirs = layers(0, 1, 2), layers(1, 1, 2, 3)
    matching = connected(RandomChoice(), pairing.every(2, 3))
    values = []
    for _ in range(2):
        torch.manual_seed(7)
        values.append([matching(ours, theirs, compare).item() for _ in range(5)])
    assert values[0] == values[1]


def test_a_mixture_by_hand():
    """Dot products ln 3 and 0: three quarters of one layer and one of the other."""
    ours, theirs = {1: torch.tensor([[1.0, 0]])}, {1: torch.tensor([[math.log(3), 0]]), 2: torch.tensor([[0.0, 1]])}
    value = connected(AttentionWeighted(scaled=False), [(1, 1), (1, 2)])(ours, theirs, compare)
    assert value.item() == pytest.approx(((1 - 0.75 * math.log(3)) ** 2 + 0.25**2) / 2)


def test_a_mixture_of_one_layer_is_that_layer_and_order_does_not_matter():
    ours, theirs = layers(0, 1), layers(1, 1, 2, 3)
    alone = connected(AttentionWeighted(), [(1, 2)])(ours, theirs, compare)
    assert alone.item() == pytest.approx(compare(ours[1], theirs[2]).item())
    some = [
        connected(AttentionWeighted(), [(1, its) for its in order])(ours, theirs, compare)
        for order in ((1, 2, 3), (3, 1, 2))
    ]
    assert some[0].item() == pytest.approx(some[1].item())


def test_a_mixture_is_made_for_each_text_and_token():
    ours, theirs = layers(0, 1, shape=(2, 3, 4)), layers(1, 1, 2, shape=(2, 3, 4))
    mixed = []
    for row, token in itertools.product(range(2), range(3)):
        scores = torch.stack([ours[1][row, token] @ theirs[its][row, token] / 2 for its in (1, 2)]).softmax(0)
        mixed.append(sum(score * theirs[its][row, token] for score, its in zip(scores, (1, 2), strict=True)))
    expected = compare(ours[1], torch.stack(mixed).reshape(2, 3, 4))
    found = connected(AttentionWeighted(), [(1, 1), (1, 2)])(ours, theirs, compare)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("costs", [[[0.0, 1], [1, 0]], [[1.0, 0], [0, 1]]])
def test_a_free_way_is_taken(costs):
    even = torch.full((2,), 0.5)
    flow = transport(torch.tensor(costs), even, even, 0.05, 100)
    assert (flow * torch.tensor(costs)).sum().item() == pytest.approx(0, abs=1e-6)


def test_one_layer_sends_to_all():
    columns, costs = torch.tensor([0.2, 0.3, 0.5]), torch.tensor([[1.0, 2, 4]])
    flow = transport(costs, torch.ones(1), columns, 0.05, 100)
    torch.testing.assert_close(flow, columns[None])


@given(seed=st.integers(0, 2**31))
def test_sums_are_kept_and_no_fixed_way_is_cheaper(seed):
    draw = torch.Generator().manual_seed(seed)
    costs, rows, columns = (torch.rand(*shape, generator=draw).double() + 0.1 for shape in ((3, 5), (3,), (5,)))
    rows, columns = rows / rows.sum(), columns / columns.sum()
    flow = transport(costs, rows, columns, 0.05, 500)
    torch.testing.assert_close(flow.sum(0), columns, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(flow.sum(1), rows, rtol=1e-2, atol=1e-2)
    assert (flow * costs).sum() <= (rows[:, None] * columns * costs).sum() + 1e-2


@pytest.mark.parametrize("seed", range(5))
def test_it_costs_nearly_as_little_as_the_exact_transport(seed):
    ot = pytest.importorskip("ot")
    costs = torch.rand(3, 6, generator=torch.Generator().manual_seed(seed)).double()
    rows, columns = torch.full((3,), 1 / 3).double(), torch.full((6,), 1 / 6).double()
    exact = ot.emd2(rows.numpy(), columns.numpy(), costs.numpy())
    found = (transport(costs, rows, columns, 0.02, 1000) * costs).sum().item()
    assert exact - 1e-9 <= found <= 1.1 * exact


def test_layers_that_are_cheap_to_match_get_more_weight():
    weights = cheaper_more(torch.tensor([0.5, 0.5]), torch.tensor([0.1, 0.3]))
    torch.testing.assert_close(weights, torch.tensor([0.75, 0.25]))


def test_weights_move_in_training_alone_and_are_part_of_the_checkpoint():
    ours, theirs = layers(0, 1, 2), layers(1, 1, 2, 3)
    matching = connected(OptimalTransport(), pairing.every(2, 3))
    before = deepcopy(matching.state_dict())
    with torch.no_grad():
        matching(ours, theirs, compare)
    assert all(before[name].equal(weight) for name, weight in matching.state_dict().items())
    matching(ours, theirs, compare)
    after = matching.state_dict()
    assert set(after) == {"learner_weights", "teacher_weights"}
    assert all(
        weight.sum().item() == pytest.approx(1) and not before[name].equal(weight) for name, weight in after.items()
    )


def test_transport_needs_all_pairs():
    for matching in (OptimalTransport(), RandomChoice()):
        assert "take the pairing every" in matching.refusal([(1, 1), (2, 2)])
        assert matching.refusal(pairing.every(2, 3)) is None


@pytest.mark.parametrize("options", [{"rounds": 0}, {"smoothing": 0.0}, {"smoothing": -1}])
def test_what_finds_no_transport(options):
    with pytest.raises(UserError, match="find no transport"):
        OptimalTransport(**options)


def test_an_overflow_is_not_remembered():
    weights = torch.tensor([0.25, 0.75])
    assert cheaper_more(weights, torch.tensor([float("nan"), 1.0])).equal(weights)
