from pathlib import Path

import pytest

from data.classification import Classification
from data.multi_label import MultiLabel
from data.readers import read_rows
from data.regression import Regression
from data.tagging import Tagging
from deploy.answers import as_lines, renderer
from deploy.predict import Answer, Item
from potstill.errors import UserError

MANY, TAGS, NUMBER = MultiLabel(("a", "b")), Tagging(("O", "B-x")), Regression(("score",))
SAID = Answer(["a", "b"], {"a": 0.75, "b": 0.625})


def test_labels_are_joined_in_a_table_and_a_list_in_objects():
    window = [(Item({"text": "x", "words": ["y", "z"]}), SAID), (Item({"text": "w"}), Answer([], {"a": 0.1, "b": 0.2}))]
    csv = renderer(Path("a.csv"), MANY, every=True)
    assert csv(window).splitlines() == [
        "text,words,prediction,probability,a,b,error",
        'x,"[""y"", ""z""]",a|b,0.7500000|0.6250000,0.7500000,0.6250000,',
        "w,,,,0.1000000,0.2000000,",
    ]
    assert csv(window[1:]) == "w,,,,0.1000000,0.2000000,\n"
    objects = renderer(Path("a.jsonl"), MANY, every=False)(window).splitlines()
    expected = '"prediction": ["a", "b"], "probability": [0.75, 0.625], "error": null}'
    assert objects[0] == f'{{"text": "x", "words": ["y", "z"], {expected}'


def test_numbers_have_no_probability():
    window = [(Item({"text": "x"}), Answer(0.5, {}))]
    assert renderer(Path("a.csv"), NUMBER, every=True)(window) == "text,prediction,error\nx,0.5000000,\n"
    assert as_lines(NUMBER, True, window) == "0.5000000\tx\n"


def test_a_person_sees_every_probability_behind_the_text():
    assert as_lines(MANY, True, [(Item({"text": "x"}), SAID)]).split("\t")[2:] == ["x", "a=0.7500000", "b=0.6250000\n"]


@pytest.mark.parametrize(
    ("name", "column"), [("a.csv", "prediction"), ("a.csv", "error"), ("a.csv", "b"), ("a.jsonl", "probabilities")]
)
def test_a_row_with_a_column_of_the_answer_is_refused(name, column):
    window = [(Item({"text": "x", column: "mine"}, {"where": "in.csv:2"}), SAID)]
    with pytest.raises(UserError, match=rf"^in\.csv:2: the answer is to stand in column '{column}'; rename"):
        renderer(Path(name), MANY, every=True)(window)


def test_a_column_called_as_a_class_stays_where_probabilities_are_not_asked_for():
    text = renderer(Path("a.csv"), MANY, every=False)([(Item({"b": "mine"}), SAID)])
    assert text.splitlines()[1] == "mine,a|b,0.7500000|0.6250000,"


def test_a_class_called_as_a_column_of_the_answer_is_refused():
    with pytest.raises(UserError, match=r"--every: a class is called 'error', .*; write a \.jsonl"):
        renderer(Path("a.csv"), Classification(("error", "b")), every=True)


def test_a_column_that_the_first_row_lacks_is_refused_in_a_table():
    csv = renderer(Path("a.csv"), NUMBER, every=False)
    csv([(Item({"text": "x", "n": 1}), Answer(0.5, {}))])
    assert csv([(Item({"text": "x"}), Answer(0.5, {}))]) == "x,,0.5000000,\n"
    with pytest.raises(UserError, match=r"the first row has no column 'm'; say --out with a \.jsonl"):
        csv([(Item({"text": "x", "m": 1}), Answer(0.5, {}))])


def test_tags_are_written_as_they_are_read(tmp_path):
    texts = [(Item({}, {"text": "one two"}), Answer(["O", "B-x"], {})), (Item({}, error="in.conll:3: why"), None)]
    path = tmp_path / "out.conll"
    path.write_text(renderer(path, TAGS, every=False)([*texts, *texts[:1]]))
    assert path.read_text().splitlines() == [
        "one\tO",
        "two\tB-x",
        "",
        "# in.conll:3: why",
        "",
        "one\tO",
        "two\tB-x",
        "",
    ]
    assert [row for _, row in read_rows(path)] == [{"tokens": ["one", "two"], "tags": ["O", "B-x"]}] * 2


def test_halves_of_surrogate_pairs_and_class_names_with_commas_survive():
    window = [(Item({"text": "\ud800"}), Answer("yes, or no", {"yes, or no": 1.0}))]
    text = renderer(Path("a.csv"), Classification(("yes, or no", "b")), every=False)(window)
    assert text.splitlines()[1] == '\ud800,"yes, or no",1.0000000,'


@pytest.mark.parametrize(("name", "task"), [("a.conll", NUMBER), ("a.txt", TAGS), ("a", NUMBER)])
def test_kinds_that_do_not_fit_are_refused(name, task):
    with pytest.raises(UserError, match=rf"--out: {name}: answers of {task.name} are written as \.csv, \.jsonl"):
        renderer(Path(name), task, every=False)
