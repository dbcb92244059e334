import functools
import operator
from itertools import pairwise

import numpy as np
import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from data.examples import Split, prepare
from data.masked_lm import Chooser, MaskedLM, blocks
from data.module import Batches
from data.sources import Columns, Files
from models.words import word_tokenizer
from potstill.errors import UserError

TASK = MaskedLM(("word",))
TEXTS = ["a fine film", "the story is moving , the acting is not", "unforgettable"]


def rows(texts=TEXTS):
    count = len(texts)
    columns = {"text": texts, "label": [None] * count, "group": [None] * count}
    columns |= {"where": [f"a.txt:{number}" for number in range(1, count + 1)]}
    columns |= {"id": list(range(count)), "loose_id": list(range(count))}
    return Dataset.from_dict(columns, features=Columns("text").features)


def test_texts_are_joined_into_blocks_and_long_ones_parted():
    data = MaskedLM(block=5).prepared(rows(), "train")
    assert data["text"][:] == ["a fine film the story", "is moving , the acting", "is not unforgettable"]
    assert data["where"][:] == ["a.txt:1", "a.txt:2", "a.txt:2"]
    assert MaskedLM(block=0).prepared(rows(), "train")["text"][:] == TEXTS


@given(st.lists(st.text("ab \n", max_size=30), max_size=10), st.integers(1, 7))
def test_blocks_keep_every_word_in_its_place(texts, size):
    made = [text.split() for text, _ in blocks([(text, "") for text in texts], size)]
    assert functools.reduce(operator.iadd, made, []) == " ".join(texts).split()
    assert all(len(words) == size for words, _ in pairwise(made))


def test_a_row_recurs_under_another_name_for_each_masking():
    data = MaskedLM(block=0, maskings=3).prepared(rows(), "train")
    assert data["text"][:] == [text for text in TEXTS for _ in range(3)]
    assert len(set(data["id"])) == 9
    assert set(MaskedLM(block=0).prepared(rows(), "train")["id"]) < set(data["id"])
    assert MaskedLM(block=0, maskings=3).prepared(rows(), "test")["text"][:] == TEXTS


def test_what_is_masked_otherwise_has_another_name():
    ways = [{}, {"share": 0.2}, {"whole_words": True}]
    ids = [set(MaskedLM(block=0, **way).prepared(rows(), "train")["id"]) for way in ways]
    assert len(set.union(*ids)) == 9


def test_all_texts_are_read_alike():
    pair = rows(TEXTS[:1]).add_column("text_pair", TEXTS[2:])
    assert MaskedLM(block=0).prepared(pair, "train")["text"][:] == [TEXTS[0], TEXTS[2]]
    splits = {name: rows() for name in ("train", "validation", "test")}
    more = splits | {"unlabelled": rows(["its plot"])}
    prepared = prepare(more, Split(labelled_rows=2), task=MaskedLM(block=0))
    assert prepared.train["text"][:] == [*TEXTS, "its plot"]
    assert len(prepared.unlabelled) == 0


def masked(count=400, length=40, **options):
    """Rows of the tokens 10 to 9 + length between two that are none of a word, two tokens a word."""
    chooser = Chooser(**{"share": 0.15, "whole_words": False, "mask": 4, "vocabulary": 1000} | options)
    ids = [[2, *range(10, 10 + length), 3]] * count
    words = [[-1, *(number // 2 for number in range(length)), -1]] * count
    said = chooser({"id": list(range(count)), "input_ids": ids, "words": words})
    return ids, {name: [np.array(row) for row in column] for name, column in said.items()}


def test_as_many_tokens_are_masked_as_were_asked_for_and_none_that_is_special():
    ids, said = masked()
    for before, after, place, label in zip(ids, said["input_ids"], said["words"], said["label"], strict=True):
        assert place.max() + 1 == len(label) == 6
        assert place[[0, -1]].tolist() == [-1, -1]
        assert np.array(before)[place >= 0].tolist() == label.tolist()
        assert place[place >= 0].tolist() == list(range(6))
        assert (after[place < 0] == np.array(before)[place < 0]).all()


def test_of_the_masked_tokens_most_become_a_mask_some_another_token_and_some_stay():
    _, said = masked()
    label = np.concatenate(said["label"])
    after = np.concatenate([ids[place >= 0] for ids, place in zip(said["input_ids"], said["words"], strict=True)])
    assert (after == 4).mean() == pytest.approx(0.8, abs=0.03)
    assert (after == label).mean() == pytest.approx(0.1, abs=0.03)
    assert ((after != 4) & (after != label)).mean() == pytest.approx(0.1, abs=0.03)


def test_what_is_masked_depends_on_the_row_alone():
    _, one = masked()
    _, other = masked()
    assert all((a == b).all() for a, b in zip(one["input_ids"], other["input_ids"], strict=True))
    assert len({tuple(np.nonzero(place >= 0)[0]) for place in one["words"]}) > 300


def test_whole_words_are_masked_with_all_their_tokens():
    _, said = masked(whole_words=True)
    for place in said["words"]:
        chosen = (place[1:-1] >= 0).reshape(-1, 2)
        assert (chosen[:, 0] == chosen[:, 1]).all()
        assert chosen[:, 0].sum() == 3


def test_a_batch_brings_the_masked_words_as_labels():
    tokenizer = word_tokenizer(TEXTS, 100)
    data = TASK.prepared(rows(), "train")
    batch = Batches(data, data, [tokenizer], 64, 2, 2, task=TASK).validation.__getitems__([0])
    (encoding,) = batch["encodings"].values()
    (original,) = tokenizer(data["text"][:])["input_ids"]
    place = encoding["words"][0]
    assert batch["labels"].shape == (1, encoding["word_count"])
    assert batch["labels"][0].tolist() == [original[number] for number in (place >= 0).nonzero().flatten()]


def test_a_tokenizer_without_mask_is_refused():
    tokenizer = word_tokenizer(TEXTS, 100)
    tokenizer.mask_token = None
    with pytest.raises(UserError, match="no token that stands for a masked one"):
        Batches(rows(), rows(), [tokenizer], 64, 2, 2, task=TASK)


def test_scores_and_loss_are_those_of_the_masked_words():
    logits, labels = torch.randn(2, 3, 7), torch.tensor([[1, 6, -100], [0, -100, -100]])
    known = labels >= 0
    metrics = TASK.metrics()
    for row in range(2):
        metrics.update(TASK.predictions(logits[row : row + 1]), labels[row : row + 1])
    cost = F.cross_entropy(logits[known], labels[known])
    assert TASK.loss(logits, labels).item() == pytest.approx(cost.item(), rel=1e-5)
    found = metrics.compute()
    assert found["perplexity"].item() == pytest.approx(cost.exp().item(), rel=1e-5)
    right = (logits[known].argmax(-1) == labels[known]).float().mean()
    assert found["accuracy"].item() == pytest.approx(right.item())


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"block": -1}, r"data\.task\.block"),
        ({"maskings": 0}, r"data\.task\.maskings"),
        ({"share": 1}, r"data\.task\.share"),
        ({"metric": "perplexity"}, r"data\.metric"),
    ],
)
def test_settings_that_cannot_be(settings, reason):
    with pytest.raises(UserError, match=reason):
        MaskedLM(**settings)
    with pytest.raises(UserError, match=r"data\.labels"):
        TASK.names([], ["a"])


def test_a_file_of_texts(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa fine film \r\n\r\nthe story\n")
    read = Files(train=str(tmp_path / "a.txt")).read(Columns("text"), tmp_path / "cache")["train"]
    assert read["text"][:] == ["a fine film", "the story"]
    assert read["where"][:] == [f"{tmp_path}/a.txt:1", f"{tmp_path}/a.txt:3"]
