import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge import pairing
from potstill.errors import UserError

DEPTHS = st.integers(1, 48)


def test_the_papers_pairs():
    """TinyBERT with 4 of 12 layers; PKD-skip with 6 and 4 of 12 and 6 of 24."""
    assert pairing.uniform(4, 12) == [(0, 0), (1, 3), (2, 6), (3, 9), (4, 12)]
    assert [theirs for _, theirs in pairing.skip(6, 12)] == [2, 4, 6, 8, 10]
    assert [theirs for _, theirs in pairing.skip(4, 12)] == [3, 6, 9]
    assert [theirs for _, theirs in pairing.skip(6, 24)] == [4, 8, 12, 16, 20]
    assert pairing.last(2, 6) == [(2, 6)]
    assert pairing.last(4, 12, count=2) == [(3, 11), (4, 12)]
    assert pairing.layers(1, 6) == [(1, 6)]


@given(DEPTHS, DEPTHS)
def test_uniform_is_in_range_monotone_and_joins_both_ends(learner, teacher):
    pairs = pairing.uniform(learner, teacher)
    assert pairs[0] == (0, 0)
    assert pairs[-1] == (learner, teacher)
    assert pairs == sorted(pairs)
    assert all(0 <= theirs <= teacher for _, theirs in pairs)


@given(DEPTHS)
def test_uniform_of_equal_depths_is_the_identity(depth):
    assert pairing.uniform(depth, depth) == [(layer, layer) for layer in range(depth + 1)]


def test_explicit_pairs_may_share_a_layer_but_not_leave_the_network():
    assert pairing.explicit(2, 6, [[1, 2], [1, 3]]) == [(1, 2), (1, 3)]
    with pytest.raises(UserError, match=r"\[3, 1\] is outside 0 to 2 and 0 to 6"):
        pairing.explicit(2, 6, [[3, 1]])


def test_more_last_layers_than_there_are_is_refused():
    with pytest.raises(UserError, match="last 3 layers"):
        pairing.last(2, 6, count=3)
