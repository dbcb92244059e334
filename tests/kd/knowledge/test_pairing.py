import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge import pairing
from potstill.errors import UserError

DEPTHS = st.integers(1, 48)


def partners(pairs):
    return [its for _, its in pairs]


def test_the_papers_pairs():
    """TinyBERT with 4 of 12 layers; PKD with 6 and 4 of 12 and 6 of 24; DistilBERT with 6 of 12."""
    assert pairing.uniform(4, 12) == [(0, 0), (1, 3), (2, 6), (3, 9), (4, 12)]
    assert partners(pairing.skip(6, 12)) == [2, 4, 6, 8, 10]
    assert partners(pairing.skip(4, 12)) == [3, 6, 9]
    assert partners(pairing.skip(6, 24)) == [4, 8, 12, 16, 20]
    assert pairing.below_top(6, 12) == [(1, 7), (2, 8), (3, 9), (4, 10), (5, 11)]
    assert partners(pairing.ends(6, 12)) == [1, 3, 5, 8, 10, 12]
    assert pairing.last(2, 6) == [(2, 6)]
    assert pairing.last(4, 12, count=2) == [(3, 11), (4, 12)]
    assert pairing.layers(1, 6) == [(1, 6)]


def test_the_others():
    assert pairing.first(2, 6) == [(1, 1), (2, 2)]
    assert pairing.first(6, 2) == [(1, 1), (2, 2)]
    assert pairing.middle(2, 6) == [(1, 3)]
    assert pairing.middle(1, 12) == [(1, 6)]
    assert pairing.embeddings(3, 5) == [(0, 0)]
    assert pairing.every(2, 3) == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert pairing.every_below_top(2, 3) == [(1, 1), (1, 2)]
    assert pairing.ends(1, 6) == [(1, 6)]


@pytest.mark.parametrize(
    "name", ["uniform", "layers", "skip", "ends", "first", "middle", "last", "embeddings", "every"]
)
@given(learner=DEPTHS, teacher=DEPTHS)
def test_all_pairs_are_in_range_and_in_order(name, learner, teacher):
    pairs = getattr(pairing, name)(learner, teacher)
    assert pairs == sorted(pairs)
    assert all(0 <= mine <= learner and 0 <= its <= teacher for mine, its in pairs)


@given(DEPTHS, DEPTHS)
def test_uniform_joins_both_ends(learner, teacher):
    pairs = pairing.uniform(learner, teacher)
    assert pairs[0] == (0, 0)
    assert pairs[-1] == (learner, teacher)


@pytest.mark.parametrize("name", ["layers", "ends", "first"])
@given(depth=DEPTHS)
def test_equal_depths_are_paired_one_by_one(name, depth):
    assert getattr(pairing, name)(depth, depth) == [(layer, layer) for layer in range(1, depth + 1)]


def test_explicit_pairs_may_share_a_layer_but_not_leave_the_network():
    assert pairing.explicit(2, 6, [[1, 2], [1, 3]]) == [(1, 2), (1, 3)]
    with pytest.raises(UserError, match=r"\[3, 1\] is outside 0 to 2 and 0 to 6"):
        pairing.explicit(2, 6, [[3, 1]])


def test_more_layers_than_there_are_is_refused():
    with pytest.raises(UserError, match="last 3 layers"):
        pairing.last(2, 6, count=3)
    with pytest.raises(UserError, match="7 layers of the learner, but only 6"):
        pairing.below_top(7, 6)
