import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

from data.batches import EncodedExamples
from kd.store import files
from kd.store.filling import Writer, fill, seconds_estimated, token_batches
from kd.store.store import Settings, Store
from models.output import LOGITS, Field, ModelOutput
from potstill.errors import UserError

STATES = Field("hidden_states", 1)
BOTH = frozenset({LOGITS, STATES})
CPU = torch.device("cpu")


class Echo:
    """A teacher whose hidden states are the ids of the tokens and whose logits are sums; notes what it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, batch):
        encoding = batch["encodings"]["t"]
        self.asked.append(batch["id"].tolist())
        ids, mask = encoding["input_ids"].float(), encoding["attention_mask"].bool()
        logits = torch.stack([(ids * mask).sum(1), mask.sum(1)], dim=1)
        return ModelOutput.of({LOGITS: logits, STATES: ids.unsqueeze(-1)}, mask)

    @property
    def rows(self):
        return sorted(number for batch in self.asked for number in batch)


def examples(numbers):
    tokens = [list(range(number, number + 1 + number % 5)) for number in numbers]
    table = {"id": numbers, "label": [0] * len(numbers), "input_ids": tokens, "length": [len(row) for row in tokens]}
    return EncodedExamples({"t": Dataset.from_dict(table)}, {"t": 0})


def filled(folder, numbers, fields=BOTH, teacher=None, **more):
    store = Store(Settings(str(folder), batch_tokens=12, dtype="float32"), "key", {})
    store.check(fields)
    teacher = teacher or Echo()
    fill(store, teacher, examples(numbers), "t", fields, CPU, **more)
    store.index(fields)
    return store, teacher


def test_every_row_is_asked_once_and_comes_back(tmp_path):
    numbers = list(range(1, 40))
    store, teacher = filled(tmp_path, numbers)
    assert teacher.rows == numbers
    batch = examples(numbers).__getitems__([30, 2, 17])
    ids, lengths, width = batch["id"].numpy(), [2, 4, 4], 4
    expected = Echo()(batch)
    assert store.read(LOGITS, ids, lengths, width).equal(expected.logits)
    assert store.read(STATES, ids, lengths, width).equal(expected.hidden_states[1])


def test_a_grown_or_augmented_set_asks_for_the_new_rows_alone(tmp_path):
    filled(tmp_path, [1, 2, 3])
    _, teacher = filled(tmp_path, [9, 3, 1, 8, 2])
    assert teacher.rows == [8, 9]
    _, teacher = filled(tmp_path, [9, 1])
    assert teacher.rows == []


def test_a_text_that_stands_twice_is_asked_once(tmp_path):
    assert filled(tmp_path, [4, 7, 4, 4])[1].rows == [4, 7]


def test_one_more_field_keeps_what_is_there(tmp_path):
    store, _ = filled(tmp_path, [1, 2], frozenset({LOGITS}))
    before = store.column("logits").shards()
    store, teacher = filled(tmp_path, [1, 2, 3])
    assert teacher.rows == [1, 2, 3]
    assert len(store.column("logits")) == len(store.column("hidden_states.1")) == 3
    assert [path for path in store.column("logits").shards() if path not in before] != []
    assert sum(len(files.read(path)[0]["ids"]) for path in store.column("logits").shards()) == 3


def test_ranks_share_the_rows(tmp_path):
    numbers = list(range(1, 60))
    asked = []
    for rank in range(3):
        store = Store(Settings(str(tmp_path), batch_tokens=12), "key", {})
        teacher = Echo()
        fill(store, teacher, examples(numbers), "t", BOTH, CPU, share=(rank, 3))
        asked.append(set(teacher.rows))
    store.index(BOTH)
    assert set.union(*asked) == set(numbers)
    assert sum(map(len, asked)) == len(numbers)
    assert not store.missing_any(BOTH, np.array(numbers)).any()


class EndedError(Exception):
    """Stands for whatever ends a process."""


def test_a_fill_that_is_cut_short_leaves_whole_rows_or_none(tmp_path, monkeypatch):
    """Shards are small here, so that some are written before the end."""
    monkeypatch.setattr("kd.store.filling.SHARD_BYTES", 100)
    numbers = list(range(1, 40))

    class Dies(Echo):
        def __call__(self, batch):
            if len(self.asked) == 6:
                raise EndedError
            return super().__call__(batch)

    dies = Dies()
    with pytest.raises(EndedError):
        filled(tmp_path, numbers, teacher=dies)
    store, teacher = filled(tmp_path, numbers)
    assert 0 < len(teacher.rows) < len(numbers)
    assert set(teacher.rows) | set(dies.rows) == set(numbers)
    assert not store.missing_any(BOTH, np.array(numbers)).any()


def test_shards_are_written_at_least_once_in_a_while(tmp_path, monkeypatch):
    store = Store(Settings(str(tmp_path)), "key", {})
    writer = Writer(store)
    writer.add(LOGITS, np.array([1]), [1], torch.zeros(1, 2), ())
    assert store.column("logits").shards() == []
    monkeypatch.setattr("kd.store.filling.SHARD_SECONDS", 0)
    writer.add(LOGITS, np.array([2]), [1], torch.zeros(1, 2), ())
    assert len(store.column("logits").shards()) == 1


@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_numbers_that_cannot_be_kept_are_named_with_their_row(tmp_path, value):
    writer = Writer(Store(Settings(str(tmp_path)), "key", {}))
    states = torch.zeros(2, 3, 1)
    states[1, 2] = value  # padding, which is not kept
    writer.add(STATES, np.array([7, 8]), [3, 2], states, (1,))
    states[1, 1] = value
    with pytest.raises(UserError, match=r"torch.float16 cannot hold numbers of the teacher's hidden_states.1 of row 8"):
        writer.add(STATES, np.array([7, 8]), [3, 2], states, (1,))


@given(numbers=st.lists(st.integers(1, 99), min_size=1, max_size=40, unique=True), tokens=st.integers(1, 30))
def test_batches_hold_every_row_once_from_long_to_short_within_the_budget(numbers, tokens):
    rows = examples(numbers)
    batches = list(token_batches(rows, np.arange(len(numbers)), "t", tokens))
    assert sorted(np.concatenate(batches)) == list(range(len(numbers)))
    lengths = [rows.lengths(batch, "t") for batch in batches]
    assert all(len(some) == 1 or len(some) * some.max() <= tokens for some in lengths)
    assert (np.diff(np.concatenate(lengths)) <= 0).all()


def test_an_estimate_is_of_all_rows(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr("kd.store.filling.time.monotonic", lambda: next(clock))
    assert seconds_estimated(Echo(), examples(list(range(5, 100, 5))), "t", 4, CPU) == pytest.approx(19 / 4)
