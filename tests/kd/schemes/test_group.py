import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.schemes.group import mean_of_logits, mean_of_probabilities, peers_of, saying
from models.output import ModelOutput
from potstill.errors import UserError

ONE, OTHER = torch.tensor([[math.log(3), 0.0]]), torch.zeros(1, 2)


def test_means_of_probabilities_and_of_logits_differ():
    """(3/4 + 1/2) / 2 against the softmax of (ln 3 / 2, 0)."""
    assert mean_of_probabilities([ONE, OTHER]).softmax(-1)[0, 0].item() == pytest.approx(0.625)
    assert mean_of_logits([ONE, OTHER]).softmax(-1)[0, 0].item() == pytest.approx(0.633975, abs=1e-6)


def test_weights_of_members_and_of_rows():
    weights = torch.tensor([0.25, 0.75])
    expected = 0.25 * 0.75 + 0.75 * 0.5
    assert mean_of_probabilities([ONE, OTHER], weights).softmax(-1)[0, 0].item() == pytest.approx(expected)
    two = [torch.cat([ONE, ONE]), torch.cat([OTHER, OTHER])]
    rows = mean_of_probabilities(two, torch.tensor([[1.0, 0.0], [0.0, 1.0]])).softmax(-1)
    assert rows[:, 0].tolist() == pytest.approx([0.75, 0.5])
    assert mean_of_logits(two, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))[:, 0].tolist() == pytest.approx([math.log(3), 0])


@given(st.floats(0.5, 20), st.integers(2, 5), st.integers(0, 1000))
def test_probabilities_are_averaged_at_the_temperature_at_which_they_are_read(temperature, members, seed):
    draw = torch.Generator().manual_seed(seed)
    logits = [5 * torch.randn(3, 4, generator=draw, dtype=torch.float) for _ in range(members)]
    mixed = (mean_of_probabilities(logits, None, temperature) / temperature).softmax(-1)
    expected = torch.stack([(each / temperature).softmax(-1) for each in logits]).mean(0)
    torch.testing.assert_close(mixed, expected, rtol=1e-4, atol=1e-6)


@given(st.permutations(range(4)))
def test_the_order_of_members_does_not_matter(order):
    logits = list(torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0)))
    for mean in (mean_of_logits, mean_of_probabilities):
        torch.testing.assert_close(mean([logits[place] for place in order]), mean(logits))


def test_members_of_one_mind_are_one():
    logits = torch.randn(3, 4)
    torch.testing.assert_close(mean_of_logits([logits] * 3), logits)
    torch.testing.assert_close(mean_of_probabilities([logits] * 3).softmax(-1), logits.softmax(-1))


def test_what_is_said_has_no_gradient():
    logits = torch.randn(2, 2, requires_grad=True)
    assert not saying(logits, ModelOutput(logits, torch.ones(2, 1, dtype=torch.bool))).logits.requires_grad


def test_a_peer_has_a_name_of_its_own():
    assert peers_of({}) == {"peer": None}
    with pytest.raises(UserError, match=r"scheme.peers: 'student'"):
        peers_of({"student": object()})
