import logging
import random
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, concatenate_datasets
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from data.examples import Split, prepare
from data.sources import Columns, id_of
from potstill.errors import UserError

GIVEN = Split(validation=0, test=0)


def table(texts, labels, pairs=None, groups=None, file="rows.csv"):
    """Rows as a source gives them."""
    columns = {"text": texts, "label": labels, "group": groups or [None] * len(texts)}
    columns["where"] = [f"{file}:{line}" for line in range(2, len(texts) + 2)]
    if pairs is not None:
        columns["text_pair"] = pairs
    rows = list(zip(*(columns[name] for name in ("text", "text_pair") if name in columns), strict=True))
    columns["id"] = [id_of(row) for row in rows]
    columns["loose_id"] = [id_of(" ".join(text.casefold().split()) for text in row) for row in rows]
    return Dataset.from_dict(columns, features=Columns("a" if pairs is None else ["a", "b"]).features)


def numbered(count, start=0, file="rows.csv", labels="ab", groups=None):
    """`count` rows with texts of their own."""
    numbers = range(start, start + count)
    return table([f"text {n}" for n in numbers], [labels[n % len(labels)] for n in numbers], groups=groups, file=file)


def three(train=12, validation=4, test=4):
    return {
        "train": numbered(train, 0, "train.csv"),
        "validation": numbered(validation, 1000, "validation.csv"),
        "test": numbered(test, 2000, "test.csv"),
    }


def sides(examples):
    """Text -> the split it is in."""
    return {
        text: name for name in ("train", "unlabelled", "validation", "test") for text in getattr(examples, name)["text"]
    }


class TestCutting:
    def test_missing_splits_are_cut_off_in_about_the_shares_asked_for(self):
        examples = prepare({"train": numbered(2000)}, Split(validation=0.1, test=0.3))
        assert len(examples.validation) == pytest.approx(200, abs=50)
        assert len(examples.test) == pytest.approx(600, abs=80)
        assert len(sides(examples)) == 2000

    def test_the_report_says_how_many_rows_were_cut_off(self):
        examples = prepare({"train": numbered(200)}, Split(0.2, 0.2))
        assert f"validation split: {len(examples.validation)} rows cut off the training rows" in examples.notes
        assert f"test split: {len(examples.test)} rows cut off the training rows" in examples.notes

    def test_given_splits_are_left_alone(self):
        examples = prepare(three(), Split(0.4, 0.4))
        assert [len(examples.train), len(examples.validation), len(examples.test)] == [12, 4, 4]

    def test_only_the_missing_split_is_cut(self):
        splits = {"train": numbered(300), "test": numbered(5, 1000)}
        examples = prepare(splits, Split(validation=0.2, test=0.3))
        assert len(examples.test) == 5
        assert len(examples.validation) == pytest.approx(60, abs=25)

    def test_the_order_of_the_rows_does_not_count(self):
        rows = numbered(200)
        shuffled = rows.select(np.random.default_rng(0).permutation(200))
        split = Split(0.2, 0.2, labelled_rows=40)
        assert sides(prepare({"train": rows}, split)) == sides(prepare({"train": shuffled}, split))

    def test_rows_that_are_added_move_none_of_the_others(self):
        before = sides(prepare({"train": numbered(200)}, Split(0.2, 0.2)))
        after = sides(prepare({"train": numbered(300)}, Split(0.2, 0.2)))
        assert before.items() <= after.items()
        assert set(after.values()) == {"train", "validation", "test"}

    def test_a_group_is_never_parted(self):
        groups = [f"film {n // 7}" for n in range(350)]
        examples = prepare({"train": numbered(350, groups=groups)}, Split(0.3, 0.3))
        found = {}
        for text, side in sides(examples).items():
            found.setdefault(groups[int(text.split()[1])], set()).add(side)
        assert {len(of_group) for of_group in found.values()} == {1}
        assert {side for of_group in found.values() for side in of_group} == {"train", "validation", "test"}

    def test_equal_texts_without_group_are_never_parted(self):
        texts = [f"text {n % 100}" for n in range(400)]
        labels = ["ab"[n % 2] for n in range(400)]
        examples = prepare({"train": table(texts, labels)}, Split(0.3, 0.3))
        split_of_text = [{*getattr(examples, name)["text"]} for name in ("train", "validation", "test")]
        assert sum(map(len, split_of_text)) == 100

    def test_rows_without_group_are_parted_where_others_have_one(self):
        groups = [f"film {n}" if n < 10 else None for n in range(300)]
        examples = prepare({"train": numbered(300, groups=groups)}, Split(0.3, 0.3))
        assert len(examples.train) == pytest.approx(120, abs=40)

    def test_only_rows_with_a_label_are_cut_off(self):
        rows = table([f"text {n}" for n in range(300)], [("a", "b", None)[n % 3] for n in range(300)])
        examples = prepare({"train": rows}, Split(0.2, 0.2))
        assert len(examples.validation) == pytest.approx(40, abs=20)
        assert -100 not in [*examples.validation["label"], *examples.test["label"]]

    @pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.1), (0.1, -0.1), (1.2, 0)])
    def test_shares_that_leave_nothing_to_train_on_are_refused(self, validation, test):
        with pytest.raises(UserError, match=r"data\.split: .* must leave something to train on"):
            Split(validation, test)

    @settings(max_examples=25, deadline=None)
    @given(
        seed=st.integers(0, 10**6),
        count=st.integers(60, 150),
        validation=st.floats(0.1, 0.4),
        test=st.floats(0.1, 0.4),
        labelled=st.none() | st.integers(10, 60),
        groups=st.none() | st.integers(20, 40),
    )
    def test_every_row_is_in_exactly_one_split(self, seed, count, validation, test, labelled, groups):
        draw = random.Random(seed)
        texts = [f"{seed} {number}" for number in range(count)]
        labels = [draw.choice("ab") for _ in texts]
        group = None if groups is None else [str(draw.randrange(groups)) for _ in texts]
        rows = table(texts, labels, groups=group)
        try:
            examples = prepare({"train": rows}, Split(validation, test, labelled), ["a", "b"])
        except UserError as error:
            assume("no rows are left" not in str(error))
            raise
        everywhere = [
            text
            for split in (examples.train, examples.unlabelled, examples.validation, examples.test)
            for text in split["text"]
        ]
        assert sorted(everywhere) == sorted(texts)


class TestLabelledRows:
    def test_exactly_so_many_keep_their_label_and_the_others_join_the_transfer_set(self):
        examples = prepare(three(train=60), Split(labelled_rows=13))
        assert len(examples.train) == 13
        assert examples.unlabelled["label"][:] == [-100] * 47
        assert {*examples.train["text"], *examples.unlabelled["text"]} == {f"text {n}" for n in range(60)}
        assert "13 of 60 labelled training rows keep their label" in examples.notes

    def test_equal_texts_do_not_change_how_many_keep_their_label(self):
        splits = three() | {"train": table(["a", "a", "a", "b", "b", "c"] * 3, ["x", "y"] * 9)}
        splits |= {name: table(["v"], ["x"]) for name in ("validation", "test")}
        assert len(prepare(splits, Split(labelled_rows=4)).train) == 4

    def test_rows_without_label_are_not_counted(self):
        splits = three() | {"train": table([f"text {n}" for n in range(40)], ["a", None, "b", None] * 10)}
        examples = prepare(splits, Split(labelled_rows=15))
        assert len(examples.train) == 15
        assert set(examples.train["label"]) == {0, 1}
        assert len(examples.unlabelled) == 25

    def test_classes_of_which_no_label_is_left_are_known(self):
        splits = three() | {"train": table([f"text {n}" for n in range(40)], ["a", "b", *"c" * 38])}
        examples = prepare(splits, Split(labelled_rows=1))
        assert examples.labels == ("a", "b", "c")
        assert set(examples.validation["label"]) == {0, 1}

    def test_more_than_there_are_keeps_all(self):
        examples = prepare(three(), Split(labelled_rows=500))
        assert len(examples.train) == 12
        assert len(examples.unlabelled) == 0
        assert examples.notes == ()

    def test_rows_of_an_unlabelled_file_join_the_rest(self):
        splits = three() | {"unlabelled": table(["more", "and more"], [None, None])}
        examples = prepare(splits, Split(labelled_rows=10))
        assert len(examples.unlabelled) == 4
        assert examples.unlabelled["text"][-2:] == ["more", "and more"]
        assert set(examples.unlabelled["label"]) == {-100}

    def test_the_transfer_set_of_a_distillation_is_both(self):
        splits = three() | {"unlabelled": table(["more"], [None])}
        assert prepare(splits, GIVEN).transfer["text"][:] == [*(f"text {n}" for n in range(12)), "more"]

    def test_without_unlabelled_rows_distillation_runs_over_the_training_rows(self):
        examples = prepare(three(), GIVEN)
        assert examples.transfer["id"][:] == examples.train["id"][:]


class TestCleaning:
    def test_distinct_keeps_the_first_of_equal_texts(self):
        splits = three() | {"train": table(["a", "b", "a", "c", "b"], ["x", "y", "y", "x", "y"])}
        splits |= {name: table(["v", "v"], ["x", "y"]) for name in ("validation", "test")}
        examples = prepare(splits, Split(distinct=True))
        assert list(zip(examples.train["text"], examples.train["label"], strict=True)) == [("a", 0), ("b", 1), ("c", 0)]
        assert "2 training rows that repeat an earlier text are left out" in examples.notes
        assert len(examples.validation) == 2

    def test_pairs_are_equal_only_if_both_texts_are(self):
        pairs = {"text": ["a", "a", "a"], "pairs": ["b", "c", "b"], "label": ["x", "y", "x"]}
        train = table(pairs["text"], pairs["label"], pairs["pairs"])
        other = table(["v"], ["x"], ["w"])
        examples = prepare({"train": train, "validation": other, "test": other}, Split(distinct=True))
        assert examples.train["text_pair"][:] == ["b", "c"]

    def test_empty_texts_are_left_out_with_a_warning_that_counts_them_and_names_the_first(self, caplog):
        splits = three() | {"train": table(["a", " \t\n", "b", "", "c"], list("xxyyx"), file="train.csv")}
        splits |= {name: table(["v"], ["x"]) for name in ("validation", "test")}
        examples = prepare(splits, GIVEN)
        assert examples.train["text"][:] == ["a", "b", "c"]
        assert caplog.messages == ["2 rows of train have an empty text and are left out, first train.csv:3"]

    def test_a_pair_with_one_empty_text_is_left_out(self, caplog):
        splits = {
            name: table([f"{name} a", f"{name} b", f"{name} c"], list("xyx"), pairs)
            for name, pairs in [("train", ["k", "l", "m"]), ("validation", ["k", "", "m"]), ("test", list("klm"))]
        }
        examples = prepare(splits, GIVEN)
        assert examples.validation["text_pair"][:] == ["k", "m"]
        assert "1 rows of validation" in caplog.text

    @pytest.mark.parametrize("name", ["train", "validation", "test"])
    def test_a_split_without_rows_is_refused(self, name):
        with pytest.raises(UserError, match=f"no rows are left in the {name} split"):
            prepare(three() | {name: table([" "], ["a"])}, GIVEN)

    def test_a_split_that_lost_all_its_rows_in_cutting_is_refused(self):
        with pytest.raises(UserError, match="no rows are left in the validation split"):
            prepare({"train": numbered(50)}, Split(validation=0, test=0.2))


class TestLabels:
    def test_names_are_sorted(self):
        splits = three() | {"train": table(["s", "t", "u"], ["pear", "apple", "fig"])}
        splits |= {name: table(["v"], ["fig"]) for name in ("validation", "test")}
        examples = prepare(splits, GIVEN)
        assert examples.labels == ("apple", "fig", "pear")
        assert examples.train["label"][:] == [2, 0, 1]

    def test_numbers_are_sorted_as_numbers(self):
        numbers = ["10", "9", "-2", "1"]
        splits = {name: table([f"{name} {n}" for n in numbers], numbers) for name in ("train", "validation", "test")}
        assert prepare(splits, GIVEN).labels == ("-2", "1", "9", "10")

    def test_given_names_keep_their_order(self):
        examples = prepare(three(), GIVEN, labels=["b", "a"])
        assert examples.labels == ("b", "a")
        assert examples.train["label"][:2] == [1, 0]

    def test_given_numbers_stand_for_their_texts(self):
        rows = table(["s", "t"], ["1", "0"])
        examples = prepare(dict.fromkeys(("train", "validation", "test"), rows), GIVEN, labels=[0, 1])
        assert examples.train["label"][:] == [1, 0]

    @pytest.mark.parametrize("name", ["validation", "test"])
    def test_an_unknown_label_is_named_by_file_and_line(self, name):
        wrong = table(["v", "w", "x"], ["a", "c", "c"], file="wrong.csv")
        with pytest.raises(
            UserError, match=rf"wrong\.csv:3: unknown label 'c' in the {name} split \(2 such rows\).* a, b"
        ):
            prepare(three() | {name: wrong}, GIVEN)

    def test_a_training_label_outside_the_given_names_is_refused(self):
        with pytest.raises(UserError, match=r"train\.csv:3: unknown label 'b' in the train split \(6 such rows\)"):
            prepare(three(), GIVEN, labels=["a", "c"])

    def test_a_test_row_without_label_is_refused(self):
        with pytest.raises(UserError, match=r"hidden\.csv:2: no label in the test split \(1 such rows\)"):
            prepare(three() | {"test": table(["v"], [None], file="hidden.csv")}, GIVEN)

    def test_a_class_never_seen_in_training_is_warned_of(self, caplog):
        prepare(three(), GIVEN, labels=["a", "b", "c", "d"])
        assert caplog.messages == ["2 classes have no training row: c, d"]

    def test_a_single_class_is_refused(self):
        with pytest.raises(UserError, match=r"two classes at least are needed, there are"):
            prepare(three() | {"train": numbered(5, labels="a")}, GIVEN)

    def test_training_rows_without_any_label_are_refused(self):
        with pytest.raises(UserError, match="no rows are left in the train split"):
            prepare(three() | {"train": table(["s", "t"], [None, None])}, GIVEN)

    def test_a_single_given_class_is_refused(self):
        rows = {name: numbered(3, labels="a") for name in ("train", "validation", "test")}
        with pytest.raises(UserError, match=r"data\.labels"):
            prepare(rows, GIVEN, labels=["a"])


class TestRecurringRows:
    def test_test_rows_that_recur_in_training_are_counted_whatever_their_case_and_white_space(self, caplog):
        splits = three(train=10) | {"test": table([" TEXT  3", "text\t4 ", "another"], ["a", "b", "a"])}
        prepare(splits, GIVEN)
        assert caplog.messages == ["2 of 3 test rows recur in the train rows: the test score flatters"]

    def test_test_rows_that_recur_in_the_transfer_set_are_counted_apart(self, caplog):
        splits = three() | {"test": table(["seen", "unseen"], ["a", "b"]), "unlabelled": table(["Seen"], [None])}
        prepare(splits, GIVEN)
        assert caplog.messages == ["1 of 2 test rows recur in the unlabelled rows: the test score flatters"]

    def test_nothing_is_said_of_rows_that_differ(self, caplog):
        with caplog.at_level(logging.WARNING):
            prepare(three(), GIVEN)
        assert caplog.messages == []

    def test_white_space_around_the_texts_of_a_pair_does_not_count(self, caplog):
        train, test = table(["k ", "l"], ["x", "y"], ["m", "n"]), table(["K"], ["x"], ["m"])
        prepare({"train": train, "validation": table(["v"], ["x"], ["w"]), "test": test}, GIVEN)
        assert "1 of 1 test rows recur" in caplog.text


class TestNames:
    def test_ids_are_equal_for_equal_texts_alone(self):
        train = table(["same", "other", "same"], ["a", "b", "b"])
        examples = prepare(three() | {"train": train, "test": table(["same"], ["a"])}, GIVEN)
        first, other, again = examples.train["id"]
        assert first == again == examples.test["id"][0]
        assert first != other

    def test_the_ids_of_pairs_tell_which_text_came_first(self):
        rows = table(["k", "m"], ["x", "y"], ["m", "k"])
        examples = prepare(dict.fromkeys(("train", "validation", "test"), rows), GIVEN)
        assert len(set(examples.train["id"])) == 2

    def test_the_fingerprint_is_the_same_for_the_same_rows(self):
        assert prepare(three(), GIVEN).fingerprint == prepare(three(), GIVEN).fingerprint

    def test_the_file_that_rows_come_from_does_not_change_the_fingerprint(self):
        moved = three() | {"train": numbered(12, file="elsewhere.csv")}
        assert prepare(moved, GIVEN).fingerprint == prepare(three(), GIVEN).fingerprint

    @pytest.mark.parametrize(
        "change",
        [
            {"train": numbered(12, 1)},
            {"train": numbered(12, labels="aab")},
            {"validation": numbered(5, 1000)},
            {"validation": numbered(4, 1001)},
        ],
        ids=["a text", "labels", "a validation row more", "validation labels"],
    )
    def test_another_content_has_another_fingerprint(self, change):
        assert prepare(three() | change, GIVEN).fingerprint != prepare(three(), GIVEN).fingerprint

    def test_the_order_of_the_classes_changes_the_fingerprint(self):
        assert prepare(three(), GIVEN, ["b", "a"]).fingerprint != prepare(three(), GIVEN).fingerprint

    def test_test_rows_and_transfer_set_leave_the_fingerprint_as_it_is(self):
        """A fine-tuned teacher has seen neither."""
        more = three(test=9) | {"unlabelled": table(["more"], [None])}
        assert prepare(more, GIVEN).fingerprint == prepare(three(), GIVEN).fingerprint


@pytest.fixture(scope="module")
def sample(cache):
    """The sample as its config describes it, and the film of each line."""
    conf = Path(__file__).parents[2] / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        config = compose("train", overrides=["data=rotten_tomatoes", "hydra.run.dir=."]).data
    columns = Columns(config.text, config.label, config.group)
    source = instantiate(config.source)
    splits = source.read(columns, cache)
    films = dict(zip(splits["train"]["where"], splits["train"]["group"], strict=True))
    return prepare(splits, instantiate(config.split)), films


class TestSample:
    def test_it_has_12752_distinct_texts(self, sample):
        examples, _ = sample
        parts = [examples.train, examples.unlabelled, examples.validation, examples.test]
        ids = concatenate_datasets(parts)["id"]
        assert len(ids) == len(set(ids)) == 12_752

    def test_1500_of_them_are_labelled_for_training(self, sample):
        examples, _ = sample
        assert len(examples.train) == 1500
        assert examples.labels == ("fresh", "rotten")
        assert set(examples.unlabelled["label"]) == {-100}

    def test_no_film_is_on_two_sides(self, sample):
        examples, films = sample
        sides = [
            {films[where] for where in rows["where"]}
            for rows in (
                concatenate_datasets([examples.train, examples.unlabelled]),
                examples.validation,
                examples.test,
            )
        ]
        assert sum(map(len, sides)) == len(set.union(*sides)) > 100


def test_rows_whose_label_is_none_are_left_out_where_that_is_right(caplog):
    splits = three()
    wrong = splits["test"].map(lambda row, number: {"label": None if number == 1 else row["label"]}, with_indices=True)
    with pytest.raises(UserError, match="no label in the test split"):
        prepare(splits | {"test": wrong}, Split())
    examples = prepare(splits | {"test": wrong}, Split(), skip=True)
    assert len(examples.test) == len(wrong) - 1
    assert "left out (data.on_error=skip)" in caplog.text
