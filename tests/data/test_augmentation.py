from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from datasets import Dataset

from data.augmentation import Augmentation, Vary, augmented
from data.classification import Classification
from data.examples import Split, prepare
from data.question_answering import QuestionAnswering
from data.sources import Columns, hashes, write_table
from data.tagging import Tagging
from data.task import IGNORED
from potstill.errors import UserError


@dataclass(frozen=True)
class Numbering(Augmentation):
    """Puts one of so many numbers before a text."""

    numbers: int = 1000
    turns: ClassVar = ((0,), (1,), (0, 1))

    def learnt(self, texts: Iterable[str]) -> Callable[[str], Vary]:
        count = len(list(texts))
        return lambda text: lambda draw: f"{draw.integers(self.numbers)} {text} {count}"


def table(texts, label, pairs=None):
    columns = {"text": texts} | ({"text_pair": pairs} if pairs else {})
    both = [hashes(row) for row in zip(*columns.values(), strict=True)]
    columns |= {name: [row[name] for row in both] for name in ("id", "loose_id")}
    columns |= {"label": label, "group": [None] * len(texts), "where": [f"x.csv:{n}" for n in range(len(texts))]}
    return Dataset.from_dict(columns, features=Columns(["a", "b"] if pairs else "a").features)


def examples(pairs=None, test=("e", "f")):
    labels = ["no", "yes"]
    splits = {"train": table(["a", "b"], labels, pairs), "validation": table(["c", "d"], labels, pairs)}
    splits |= {"test": table(list(test), labels, pairs), "unlabelled": table(["g"], [None], pairs and pairs[:1])}
    return prepare(splits, Split(validation=0, test=0))


def test_variants_of_labelled_rows_join_the_transfer_set():
    before = examples()
    after = augmented(before, Classification(), Numbering(copies=5))
    assert after.train is before.train
    assert (after.validation, after.test) == (before.validation, before.test)
    assert after.unlabelled["text"][0] == "g"
    new = after.unlabelled.select(range(1, len(after.unlabelled)))
    assert 8 <= len(new) <= 10
    assert {text.split()[1] for text in new["text"]} == {"a", "b"}
    assert {text.split()[2] for text in new["text"]} == {"2"}  # it has seen all labelled texts
    assert set(new["label"]) == {IGNORED}
    assert set(new["where"]) == {"x.csv:0", "x.csv:1"}
    assert [hashes([text])["id"] for text in new["text"]] == list(new["id"])
    assert after.notes[-1] == f"{len(new)} variants of labelled rows join the transfer set (data.augmentation)"


def test_they_follow_from_the_seed_and_the_text_alone():
    def texts(seed, rows):
        return list(augmented(rows, Classification(), Numbering(copies=3, seed=seed)).unlabelled["text"])

    rows = examples()
    assert texts(1, rows) == texts(1, examples())
    assert texts(1, rows) != texts(2, rows)
    turned = replace(rows, train=rows.train.select([1, 0]))
    assert set(texts(1, turned)) == set(texts(1, rows))


def test_none_repeats_a_text_of_any_split():
    rows = examples(test=("0 A 2", "1 b 2"))
    after = augmented(rows, Classification(), Numbering(copies=50, numbers=3))
    new = list(after.unlabelled["text"][1:])
    assert sorted(new) == ["0 b 2", "1 a 2", "2 a 2", "2 b 2"]


def test_of_a_pair_one_text_the_other_and_both_change_in_turn():
    after = augmented(examples(pairs=["x", "y"]), Classification(), Numbering(copies=3))
    rows = after.unlabelled.select(range(1, 4))
    changed = [(len(a) > 1, len(b) > 1) for a, b in zip(rows["text"], rows["text_pair"], strict=True)]
    assert changed == [(True, False), (False, True), (True, True)]
    assert [hashes(pair)["id"] for pair in zip(rows["text"], rows["text_pair"], strict=True)] == list(rows["id"])


def test_tagged_texts_have_variants_without_tags():
    splits = {"train": table(["a b", "c d"], ["X Y", "Y X"])}
    splits |= {name: table([text], ["X X"]) for name, text in (("validation", "e f"), ("test", "g h"))}
    rows = prepare(splits, Split(validation=0, test=0), task=Tagging())
    after = augmented(rows, Tagging(rows.labels), Numbering(copies=2))
    assert list(after.unlabelled["label"]) == [[]] * len(after.unlabelled)
    assert len(after.unlabelled) > 2


def test_what_has_several_texts_a_row_is_refused():
    with pytest.raises(UserError, match="data/augmentation: texts of question_answering cannot be varied"):
        augmented(examples(), QuestionAnswering(), Numbering())


@pytest.mark.parametrize("copies", [0, -1, 1.5])
def test_copies_are_counted(copies):
    with pytest.raises(UserError, match=r"data\.augmentation\.copies: .* is not a whole number above 0"):
        Numbering(copies=copies)


def test_chance_of_a_row_does_not_depend_on_how_rows_are_batched():
    rows = examples()
    many = replace(rows, train=table([f"t{n}" for n in range(250)], ["no"] * 250).map(lambda row: {"label": 0}))
    few = replace(many, train=many.train.select([200]))
    how = Numbering(copies=2)
    numbers = [
        {text.split()[0] for text in augmented(some, Classification(), how).unlabelled["text"] if "t200" in text}
        for some in (many, few)
    ]
    assert numbers[0] == numbers[1]
    assert np.all([len(some) > 0 for some in numbers])


def test_what_is_found_in_the_cache_is_not_learnt_again(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train.arrow"
    rows = examples()
    write_table(rows.train, rows.train.features, path)
    rows = replace(rows, train=Dataset.from_file(str(path)))
    first = list(augmented(rows, Classification(), Numbering()).unlabelled["text"])
    monkeypatch.setattr(Numbering, "learnt", None)
    assert list(augmented(rows, Classification(), Numbering()).unlabelled["text"]) == first
