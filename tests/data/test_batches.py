import numpy as np
import torch
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from data.batches import EncodedExamples, LengthGroupedBatches, pad

LENGTHS = np.random.default_rng(0).integers(3, 60, size=517)


def wasted(batches, lengths):
    """Padding tokens."""
    return sum(len(batch) * lengths[batch].max() - lengths[batch].sum() for batch in batches)


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=150), size=st.integers(1, 20), pool=st.integers(1, 9))
def test_every_example_is_in_an_epoch_exactly_once(lengths, size, pool):
    batches = list(LengthGroupedBatches(np.array(lengths), size, seed=3, pool=pool))
    assert sorted(number for batch in batches for number in batch) == list(range(len(lengths)))


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 150), size=st.integers(1, 20))
def test_there_are_as_many_batches_as_promised_and_only_one_is_smaller(count, size):
    order = LengthGroupedBatches(np.ones(count), size, seed=3)
    batches = list(order)
    assert len(batches) == len(order)
    assert sorted(map(len, batches))[1:] == [size] * (len(order) - 1)


@settings(max_examples=100, deadline=None)
@given(count=st.integers(1, 150), size=st.integers(1, 9), ranks=st.integers(2, 4))
def test_ranks_get_equally_many_batches_and_no_example_twice(count, size, ranks):
    lengths = LENGTHS[:count]
    shares = [list(LengthGroupedBatches(lengths, size, 3, rank, ranks)) for rank in range(ranks)]
    whole = list(LengthGroupedBatches(lengths, size, 3))
    assert {len(share) for share in shares} == {len(whole) // ranks}
    examples = [number for share in shares for batch in share for number in batch]
    assert len(examples) == len(set(examples))
    assert all(batch in whole for share in shares for batch in share)


def test_every_rank_knows_how_many_batches_it_gets():
    order = LengthGroupedBatches(LENGTHS, 8, 3, rank=1, world_size=3)
    assert len(list(order)) == len(order) == 21


def test_the_same_seed_gives_the_same_epochs():
    one, other = (LengthGroupedBatches(LENGTHS, 8, seed=5) for _ in range(2))
    assert [list(one), list(one)] == [list(other), list(other)]


def test_another_seed_gives_another_order():
    assert list(LengthGroupedBatches(LENGTHS, 8, seed=5)) != list(LengthGroupedBatches(LENGTHS, 8, seed=6))


def test_another_epoch_gives_other_batches():
    order = LengthGroupedBatches(LENGTHS, 8, seed=5)
    first, second = ({frozenset(batch) for batch in order} for _ in range(2))
    assert len(first & second) < len(first) / 2


def test_an_epoch_can_be_chosen():
    order = LengthGroupedBatches(LENGTHS, 8, seed=5)
    epochs = [list(order), list(order), list(order)]
    order.epoch = 1
    assert list(order) == epochs[1]


def test_what_was_skipped_is_left_out_of_this_epoch_alone():
    whole, resumed = (LengthGroupedBatches(LENGTHS, 8, seed=5) for _ in range(2))
    resumed.skip = 20
    assert list(resumed) == list(whole)[20:]
    assert list(resumed) == list(whole)


def test_batches_hold_examples_of_like_length():
    grouped = list(LengthGroupedBatches(LENGTHS, 8, seed=5))
    mixed = np.array_split(np.random.default_rng(5).permutation(len(LENGTHS)), len(grouped))
    assert wasted(grouped, LENGTHS) < 0.2 * wasted(mixed, LENGTHS)


def test_batches_do_not_come_in_order_of_length():
    means = [LENGTHS[batch].mean() for batch in LengthGroupedBatches(LENGTHS, 8, seed=5)]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.5


def test_padding_fills_up_to_the_longest_row():
    columns = {"input_ids": [[5, 6, 7], [8]], "token_type_ids": [[0, 1, 1], [1]], "length": [3, 1]}
    padded = pad(columns, padding_id=9)
    assert set(padded) == {"input_ids", "token_type_ids", "attention_mask"}
    assert padded["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert padded["token_type_ids"].tolist() == [[0, 1, 1], [1, 0, 0]]
    assert padded["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_real_token_with_the_id_of_padding_is_not_masked():
    assert pad({"input_ids": [[0, 0], [0]]}, padding_id=0)["attention_mask"].tolist() == [[1, 1], [1, 0]]


def test_a_batch_holds_the_rows_asked_for_in_their_order():
    rows = Dataset.from_dict({"id": [2**62, 11, 12], "label": [1, 0, -100], "text": list("abc")})
    short, long = (
        Dataset.from_dict({"input_ids": [[1], [2], [3]]}),
        Dataset.from_dict({"input_ids": [[4], [5, 6], [7]]}),
    )
    batch = EncodedExamples(rows, {"short": short, "long": long}, {"short": 0, "long": 9}).__getitems__([2, 1, 2])
    assert batch["labels"].tolist() == [-100, 0, -100]
    assert batch["id"].tolist() == [12, 11, 12]
    assert batch["encodings"]["short"]["input_ids"].tolist() == [[3], [2], [3]]
    assert batch["encodings"]["long"]["input_ids"].tolist() == [[7, 9], [5, 6], [7, 9]]


def test_ids_of_63_bits_survive():
    rows = Dataset.from_dict({"id": [2**63 - 1], "label": [0]})
    batch = EncodedExamples(rows, {"words": Dataset.from_dict({"input_ids": [[1]]})}, {"words": 0}).__getitems__([0])
    assert batch["id"].dtype == torch.int64
    assert batch["id"].item() == 2**63 - 1
