from itertools import pairwise

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from data.batches import EncodedExamples, LengthGroupedBatches, pad

LENGTHS = np.random.default_rng(0).integers(3, 60, size=517)


def order_of(lengths=LENGTHS, size=8, seed=5, *share, **settings):
    return LengthGroupedBatches(lengths.__getitem__, len(lengths), size, seed, *share, **settings)


def wasted(batches, lengths):
    """Padding tokens."""
    return sum(len(batch) * lengths[batch].max() - lengths[batch].sum() for batch in batches)


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=150), size=st.integers(1, 20), pool=st.integers(1, 9))
def test_every_example_is_in_an_epoch_exactly_once(lengths, size, pool):
    batches = list(order_of(np.array(lengths), size, seed=3, pool=pool))
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 150), size=st.integers(1, 20))
def test_there_are_as_many_batches_as_promised_and_only_one_is_smaller(count, size):
    order = order_of(np.ones(count), size, seed=3)
    batches = list(order)
    assert len(batches) == len(order)
    assert sorted(map(len, batches))[1:] == [size] * (len(order) - 1)


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 150), size=st.integers(1, 9), ranks=st.integers(2, 4))
def test_ranks_get_equally_many_batches_and_no_example_twice(count, size, ranks):
    lengths = LENGTHS[:count]
    shares = [list(order_of(lengths, size, 3, rank, ranks)) for rank in range(ranks)]
    whole = list(order_of(lengths, size, 3))
    assert {len(share) for share in shares} == {len(whole) // ranks}
    examples = [number for share in shares for batch in share for number in batch]
    assert len(examples) == len(set(examples))
    assert all(batch in whole for share in shares for batch in share)


def test_every_rank_knows_how_many_batches_it_gets():
    order = order_of(rank=1, world_size=3)
    assert len(list(order)) == len(order) == 21


def test_the_same_seed_gives_the_same_epochs():
    one, other = (order_of() for _ in range(2))
    assert [list(one), list(one)] == [list(other), list(other)]


def test_another_seed_gives_another_order():
    assert list(order_of()) != list(order_of(seed=6))


def test_another_epoch_gives_other_batches():
    order = order_of()
    first, second = ({frozenset(batch) for batch in order} for _ in range(2))
    assert len(first & second) < len(first) / 2


def test_an_epoch_can_be_chosen():
    order = order_of()
    epochs = [list(order), list(order), list(order)]
    order.epoch = 1
    assert list(order) == epochs[1]


def test_what_was_skipped_is_left_out_of_this_epoch_alone():
    whole, resumed = (order_of() for _ in range(2))
    resumed.skip = 20
    assert list(resumed) == list(whole)[20:]
    assert list(resumed) == list(whole)


def test_batches_hold_examples_of_like_length():
    grouped = list(order_of())
    mixed = np.array_split(np.random.default_rng(5).permutation(len(LENGTHS)), len(grouped))
    assert wasted(grouped, LENGTHS) < 0.2 * wasted(mixed, LENGTHS)


def test_batches_do_not_come_in_order_of_length():
    """Neither over an epoch nor within a pool."""
    means = [LENGTHS[batch].mean() for batch in order_of()]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5
    pools = [order_of(pool=8) for _ in range(10)]
    for epoch, order in enumerate(pools):
        order.epoch = epoch
    firsts = [[LENGTHS[batch].mean() for batch in list(order)[:8]] for order in pools]
    assert all(sorted(first) not in (first, first[::-1]) for first in firsts)


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 150), size=st.integers(1, 9), pool=st.integers(1, 9))
def test_batches_are_made_and_shuffled_within_a_pool_alone(count, size, pool):
    """So that the next pool is looked at only when this one is used up."""
    asked = []

    def lengths(rows):
        asked.append(rows.tolist())
        return LENGTHS[rows]

    batches = iter(LengthGroupedBatches(lengths, count, size, 5, pool=pool))
    for number, batch in enumerate(batches):
        assert len(asked) == number // pool + 1
        assert set(batch) <= set(asked[-1])
    assert [len(rows) for rows in asked[:-1]] == [size * pool] * (len(asked) - 1)
    assert len(asked[-1]) <= size * pool


def test_a_pool_holds_rows_from_everywhere():
    pool = np.concatenate(list(order_of(pool=10))[:10])
    assert len({row // 52 for row in pool}) == 10


def test_a_pool_is_parted_by_length():
    for batches in [list(order_of(pool=10))[:10], list(order_of(pool=10))[10:20]]:
        ranges = sorted((LENGTHS[batch].min(), LENGTHS[batch].max()) for batch in batches)
        assert all(one[1] <= other[0] for one, other in pairwise(ranges))


def rows_of(*rows):
    return [np.array(row) for row in rows]


def test_padding_fills_up_to_the_longest_row():
    columns = {"input_ids": rows_of([5, 6, 7], [8]), "token_type_ids": rows_of([0, 1, 1], [1])}
    padded = pad(columns, padding_id=9)
    assert set(padded) == {"input_ids", "token_type_ids", "attention_mask"}
    assert padded["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert padded["token_type_ids"].tolist() == [[0, 1, 1], [1, 0, 0]]
    assert padded["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert {tensor.dtype for tensor in padded.values()} == {torch.int64}


def test_rows_of_narrow_numbers_are_widened():
    columns = {"input_ids": [np.array([5, 6], dtype=np.int32)], "token_type_ids": [np.array([1, 0], dtype=np.int8)]}
    padded = pad(columns, padding_id=9)
    assert {tensor.dtype for tensor in padded.values()} == {torch.int64}
    assert padded["input_ids"].tolist() == [[5, 6]]


def test_a_real_token_with_the_id_of_padding_is_not_masked():
    assert pad({"input_ids": rows_of([0, 0], [0])}, padding_id=0)["attention_mask"].tolist() == [[1, 1], [1, 0]]


def table(ids, labels, input_ids, **more):
    lengths = [len(row) for row in input_ids]
    return Dataset.from_dict({"id": ids, "label": labels, "input_ids": input_ids, "length": lengths, **more})


@pytest.fixture
def examples():
    ids, labels = [2**62, 11, 12], [1, 0, -100]
    short = table(ids, labels, [[1], [2], [3, 3]], token_type_ids=[[0], [0], [0, 1]])
    long = table(ids, labels, [[4], [5, 6, 8], [7]])
    return EncodedExamples({"short": short, "long": long}, {"short": 0, "long": 9})


def test_a_batch_holds_the_rows_asked_for_in_their_order(examples):
    batch = examples.__getitems__([2, 1, 2])
    assert set(batch) == {"id", "labels", "encodings"}
    assert batch["labels"].tolist() == [-100, 0, -100]
    assert batch["id"].tolist() == [12, 11, 12]
    assert set(batch["encodings"]["short"]) == {"input_ids", "token_type_ids", "attention_mask"}
    assert set(batch["encodings"]["long"]) == {"input_ids", "attention_mask"}
    assert batch["encodings"]["short"]["input_ids"].tolist() == [[3, 3], [2, 0], [3, 3]]
    assert batch["encodings"]["short"]["token_type_ids"].tolist() == [[0, 1], [0, 0], [0, 1]]
    assert batch["encodings"]["long"]["input_ids"].tolist() == [[7, 9, 9], [5, 6, 8], [7, 9, 9]]


def test_lengths_are_those_of_one_tokenizer_or_of_the_longest(examples):
    assert len(examples) == 3
    assert examples.lengths([2, 0, 1], "short").tolist() == [2, 1, 1]
    assert examples.lengths(np.array([2, 0, 1]), "long").tolist() == [1, 1, 3]
    assert examples.lengths([2, 0, 1]).tolist() == [2, 1, 3]


def test_what_else_belongs_into_a_batch_is_made_of_it(examples):
    examples.extras["double"] = lambda batch: batch["labels"] * 2
    examples.extras["width"] = lambda batch: batch["encodings"]["long"]["input_ids"].shape[1]
    batch = examples.__getitems__([1, 0])
    assert batch["double"].tolist() == [0, 2]
    assert batch["width"] == 3


def test_ids_of_63_bits_survive():
    batch = EncodedExamples({"words": table([2**63 - 1], [0], [[1]])}, {"words": 0}).__getitems__([0])
    assert batch["id"].dtype == batch["labels"].dtype == torch.int64
    assert batch["id"].item() == 2**63 - 1
