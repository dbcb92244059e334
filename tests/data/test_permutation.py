import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.permutation import permuted


@given(size=st.integers(1, 3000), seed=st.integers(0, 2**31))
def test_every_number_stands_in_one_place(size, seed):
    assert sorted(permuted(np.arange(size), size, (seed,))) == list(range(size))


@given(size=st.integers(1, 10**12), seed=st.integers(0, 2**31), start=st.integers(0, 10**12))
def test_a_piece_is_the_same_as_in_the_whole(size, seed, start):
    places = np.unique(np.arange(start, start + 20) % size)
    together = permuted(places, size, (seed,))
    alone = [permuted(place.reshape(1), size, (seed,))[0] for place in places]
    assert together.tolist() == alone
    assert ((together >= 0) & (together < size)).all()


def test_another_seed_gives_another_order():
    one, other = (permuted(np.arange(1000), 1000, (seed, 0)) for seed in (1, 2))
    assert (one != other).mean() > 0.99


def test_places_say_nothing_of_what_stands_there():
    """Neighbours are no nearer to each other than strangers, and no part of the range comes early."""
    order = permuted(np.arange(100_000), 100_000, (7, 1))
    assert abs(np.corrcoef(order, np.arange(100_000))[0, 1]) < 0.02
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.02
    assert abs(order[:10_000].mean() / 50_000 - 1) < 0.03
