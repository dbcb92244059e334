import json

import numpy as np
import pytest
import torch

from kd.store import ragged, top
from kd.store.store import Settings, Store
from models.output import LOGITS, Field
from potstill.errors import UserError

STATES = Field("hidden_states", 2)
IDS, LENGTHS = np.array([11, 12, 13]), [4, 2, 3]


def store_in(folder, **settings):
    return Store(Settings(str(folder), **settings), "teacher", {"teacher": "bert"})


def put(store, field, values, positions=(1,)):
    positions = positions if values.dim() > 2 else ()
    for name, part in store.columns_of(field, values, positions).items():
        shape, rows = ragged.cut(part, positions, LENGTHS)
        store.column(name).append(IDS, np.array([len(row) for row in rows]), torch.cat(rows), shape)
    store.index(frozenset({field}))


@pytest.mark.parametrize(("dtype", "digits"), [("float32", 0), ("float16", 2**-11), ("bfloat16", 2**-8)])
@pytest.mark.parametrize("shape", [(5,), (4, 2), (4, 7)])
def test_logits_of_texts_and_words_come_back(tmp_path, dtype, digits, shape):
    store = store_in(tmp_path, dtype=dtype)
    logits = torch.randn(3, *shape)
    put(store, LOGITS, logits)
    back = store.read(LOGITS, IDS[[2, 0]], [3, 4], 4)
    assert back.dtype == store.dtype
    real = (np.arange(4) < np.array([3, 4])[:, None]) if len(shape) > 1 else slice(None)
    torch.testing.assert_close(back.float()[real], logits[[2, 0]][real], rtol=digits, atol=0)


def test_logits_of_spans_come_back_whole(tmp_path):
    store = store_in(tmp_path, top_k=3)
    logits = torch.randn(3, 2, 4).half()
    put(store, LOGITS, logits, positions=(2,))
    back = store.read(LOGITS, IDS[[2, 0]], [3, 4], 4)
    assert back[0, :, :3].equal(logits[2, :, :3])
    assert back[1].equal(logits[0])


def test_logits_over_a_vocabulary_keep_the_largest_and_the_rest(tmp_path):
    store = store_in(tmp_path, top_k=6, dtype="float32")
    logits = torch.randn(3, 4, 50)
    put(store, LOGITS, logits)
    assert {path.name for path in store.folder.iterdir()} == {"logits_top6", "logits_classes6", "logits_rest6"}
    assert not store.missing(LOGITS, IDS).any()
    back = top.restore(store.read(LOGITS, IDS, LENGTHS, 4), 50)
    assert back.shape == logits.shape
    expected = top.restore(top.compress(logits, 6), 50)
    torch.testing.assert_close(back[0], expected[0])


def test_a_field_is_missing_until_it_is_indexed(tmp_path):
    store = store_in(tmp_path)
    assert store.missing_any({LOGITS, STATES}, IDS).all()
    put(store, LOGITS, torch.randn(3, 2))
    assert store.missing_any({LOGITS, STATES}, IDS).all()
    assert not store.missing(LOGITS, IDS).any()
    put(store, STATES, torch.randn(3, 4, 8))
    assert not store.missing_any({LOGITS, STATES}, IDS).any()


def test_teachers_lengths_and_types_do_not_share(tmp_path):
    settings = [Settings("x"), Settings("x", dtype="float32"), Settings("x", dtype="bfloat16")]
    folders = {Store(some, key, {}).folder for some in settings for key in (["w1", 128], ["w2", 128], ["w1", 64])}
    assert len(folders) == 9
    assert Store(Settings("x", budget=1, top_k=3), ["w1", 128], {}).folder in folders


def test_each_part_of_compressed_logits_has_to_be_there(tmp_path):
    store = store_in(tmp_path, top_k=6)
    put(store, LOGITS, torch.randn(3, 4, 50))
    for shard in store.column("logits_top6").shards():
        shard.unlink()
    store = store_in(tmp_path, top_k=6)
    store.check(frozenset({LOGITS}))
    assert store.missing(LOGITS, IDS).all()


WRONG = [("folder", None), ("folder", ""), ("dtype", "int8"), ("top_k", 0), ("batch_tokens", 1.5)]
WRONG += [("budget", value) for value in (-1, "much", True, float("nan"))]


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_settings_that_cannot_be_are_refused(key, value):
    with pytest.raises(UserError, match=f"store.{key}: "):
        Settings(**{"folder": "x", key: value})


def test_a_store_says_whose_it_is_and_when_it_was_used(tmp_path):
    store = store_in(tmp_path)
    store.check(frozenset({LOGITS}))
    about = json.loads((store.folder / "about.json").read_text())
    assert about["teacher"] == "bert"
    assert about["dtype"] == "float16"
    assert about["used"] > 1e9
