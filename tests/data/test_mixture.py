import math

import numpy as np
import pytest
import torch
from datasets import Dataset
from sklearn.metrics import f1_score

from data.examples import Split, prepare
from data.mixture import Mixture, mixed, recurring
from data.module import Batches
from data.sources import Columns, id_of
from data.task import IGNORED
from models.words import word_tokenizer
from potstill.errors import UserError

LABELS = ("moods/bad", "moods/good", "kinds/film", "kinds/play", "kinds/book")
TASK = Mixture(LABELS)
GIVEN = Split(validation=0, test=0)


def rows(count, labels, start=0, pairs=False, labelled=True):
    numbers = range(start, start + count)
    columns = {"text": [f"text {n}" for n in numbers]} | (
        {"text_pair": [f"more {n}" for n in numbers]} if pairs else {}
    )
    ids = [id_of(texts) for texts in zip(*columns.values(), strict=True)]
    given = [labels[n % len(labels)] if labelled else None for n in numbers]
    columns |= {"label": given, "group": [None] * count, "where": ["x.csv:1"] * count, "id": ids, "loose_id": ids}
    return Dataset.from_dict(columns, features=Columns(["a", "b"] if pairs else "a").features)


def examples(count, labels, pairs=False, unlabelled=0):
    splits = {"train": (count, 0), "validation": (6, 900), "test": (6, 950)}
    made = {name: rows(size, labels, start, pairs) for name, (size, start) in splits.items()}
    made["unlabelled"] = rows(unlabelled, labels, 700, pairs, labelled=False)
    return prepare(made, GIVEN)


@pytest.fixture
def both():
    return {"moods": examples(8, ["bad", "good"], unlabelled=2), "kinds": examples(40, ["book", "film", "play"], True)}


def test_parts_keep_their_rows_and_get_classes_of_their_own(both):
    whole = mixed(both, 1.0)
    assert whole.labels == ("moods/bad", "moods/good", "kinds/book", "kinds/film", "kinds/play")
    assert [len(getattr(whole, split)) for split in ("train", "unlabelled", "validation", "test")] == [48, 2, 12, 12]
    for split in ("train", "validation", "test"):
        own = [(name, both[name].labels[label]) for name in both for label in getattr(both[name], split)["label"]]
        assert [tuple(whole.labels[label].split("/")) for label in getattr(whole, split)["label"]] == own
    assert list(whole.unlabelled["label"]) == [IGNORED] * 2
    assert list(whole.train["part"]) == [0] * 8 + [1] * 40
    assert list(whole.train["text_pair"][:8]) == [""] * 8
    assert list(whole.train["text_pair"][8:]) == list(both["kinds"].train["text_pair"])
    assert whole.notes[0] == "moods: 8 labelled and 2 unlabelled training rows"


def test_a_text_of_two_parts_is_two_rows():
    alike = {"moods": examples(8, ["bad", "good"]), "kinds": examples(8, ["film", "play"])}
    whole = mixed(alike, 1.0)
    assert list(whole.train["text"][:8]) == list(whole.train["text"][8:])
    assert len(set(whole.train["id"])) == 16


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0, math.inf])
def test_the_higher_the_temperature_the_more_often_small_parts_recur(temperature, both):
    """As often as sampling by sizes to the power of 1 / temperature would have them."""
    whole = mixed(both, temperature)
    counts = [sum(list(split["part"]).count(part) for split in (whole.train, whole.unlabelled)) for part in (0, 1)]
    assert counts[1] == 40
    assert counts[0] == pytest.approx(40 * (10 / 40) ** (1 / temperature), abs=1)
    assert len(whole.validation) == len(whole.test) == 12
    _, recur = np.unique(whole.train["id"], return_counts=True)
    assert recur.max() - recur[recur > 1].min(initial=recur.max()) <= 1


def test_recurring_rows_are_always_the_same():
    table = rows(10, ["a"])
    assert recurring(table, 1.0) is table
    twice = list(recurring(table, 2.3)["id"])
    assert twice[:20] == list(table["id"]) * 2
    assert twice[20:] == [own for own in table["id"] if own in sorted(table["id"])[:3]]
    assert len(recurring(table.select([]), 3.0)) == 0


@pytest.mark.parametrize("temperature", [0.5, 0, -1])
def test_a_temperature_is_one_at_least(temperature, both):
    with pytest.raises(UserError, match=r"data\.temperature: .* is not a number from 1 on"):
        mixed(both, temperature)


def test_one_part_is_no_mixture(both):
    with pytest.raises(UserError, match=r"data\.parts: two data sets at least"):
        mixed({"moods": both["moods"]}, 1.0)


def test_each_part_has_choices_of_its_own():
    assert TASK.choices.tolist() == [[True, True, False, False, False], [False, False, True, True, True]]
    assert [task.labels for task in TASK.parts.values()] == [("bad", "good"), ("film", "play", "book")]


def test_scores_are_those_of_each_part_and_their_mean():
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 5, (60,), generator=draw)
    choices = torch.from_numpy(TASK.choices)[(labels > 1).long()]
    logits = torch.randn(60, 5, generator=draw).masked_fill(~choices, -1e4)
    metrics = TASK.metrics()
    for some in range(0, 60, 20):
        metrics.update(logits[some : some + 20].softmax(-1), labels[some : some + 20], ids=None)
    found = metrics.compute()
    for part, mine in (("moods", labels < 2), ("kinds", labels > 1)):
        said, true = logits[mine].argmax(-1), labels[mine]
        assert found[f"accuracy/{part}"] == pytest.approx((said == true).float().mean().item())
        assert found[f"f1/{part}"] == pytest.approx(f1_score(true, said, average="macro"))
    assert found["accuracy"] == pytest.approx((found["accuracy/moods"] + found["accuracy/kinds"]).item() / 2)
    metrics.reset()
    metrics.update(logits[:1].softmax(-1), labels[:1], ids=None)
    assert set(metrics.compute()) == set(found)


def test_a_batch_tells_the_choices_of_its_rows(both):
    whole = mixed(both, 1.0)
    tokenizer = word_tokenizer([*whole.train["text"], *whole.train["text_pair"]], 200)
    batches = Batches(whole.train, whole.validation, [tokenizer], 16, 4, 4, task=Mixture(whole.labels))
    batch = batches.train.__getitems__([0, 7, 8, 47])
    (encoding,) = batch["encodings"].values()
    assert (
        encoding["choices"].tolist() == [[True, True, False, False, False]] * 2 + [[False, False, True, True, True]] * 2
    )
    assert encoding["choices"].gather(1, batch["labels"][:, None]).all()
    single, pair = (tokenizer(*texts)["input_ids"] for texts in (("text 0",), ("text 0", "more 0")))
    assert encoding["input_ids"][0, : len(single)].tolist() == single
    assert encoding["attention_mask"][0].sum() == len(single)
    assert encoding["input_ids"][2].tolist() == pair
