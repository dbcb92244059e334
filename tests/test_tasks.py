"""A number, or any labels, a text: whole runs with every student, a teacher fine-tuned for it, and the store."""

import csv
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from kd.plan import make_plan
from potstill.errors import UserError
from train import run

pytestmark = pytest.mark.slow

THINGS = ("film", "story", "plot", "acting", "cast", "ending", "music")


def as_number(text: str, label: str) -> str:
    """How good, and a little for the kind of thing."""
    return f"{2.0 * (label == 'good') + 0.25 * any(thing in text for thing in THINGS):g}"


def as_labels(text: str, label: str) -> str:
    """Whether good, and whether about certain things; perhaps neither."""
    return (
        "|".join([*(["good"] if label == "good" else []), *(["thing"] if any(x in text for x in THINGS) else [])])
        or "|"
    )


TASKS = {
    "regression": (as_number, ["kd=[logits,hidden_states]"], "pearson"),
    "multi_label": (as_labels, ["kd=[response,pooled]"], "f1"),
}


@pytest.fixture
def configured(configure, folder, pretrained, tmp_path):
    def configured(task, *more):
        label, kd, _ = TASKS[task]
        paths = []
        for split in ("train", "validation", "test"):
            with (folder / f"{split}.csv").open(newline="") as file:
                rows = [(row["sentence"], label(row["sentence"], row["label"])) for row in csv.DictReader(file)]
            with (tmp_path / f"{split}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([("sentence", "label"), *rows])
            paths.append(f"data.{split}={tmp_path}/{split}.csv")
        teacher = [
            f"teacher.path={pretrained}",
            "teacher.fine_tuning.epochs=25",
            "teacher.fine_tuning.learning_rate=3e-3",
        ]
        return configure(f"data/task={task}", *paths, *teacher, *kd, "trainer.max_epochs=8", "logger=[]", *more)

    return configured


@pytest.mark.parametrize("student", ["bert_small", "bilstm", "cnn_lstm"])
@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_learnt_and_reported(task, student, configured):
    config = configured(task, f"student={student}", "student.learning_rate=3e-3")
    score = run(config, [])
    path = Path(config.run_dir)
    report = json.loads((path / "report.json").read_text())
    assert (report["task"], report["metric"]) == (task, TASKS[task][2])
    assert report["teacher"]["score"] > 0.7
    assert score > 0.6
    assert report["baseline"]["score"] > 0.5
    model = AutoModelForSequenceClassification.from_pretrained(path / "student").eval()
    assert model.config.problem_type == make_plan(config).task.problem
    with (path / "predictions.csv").open(newline="") as said, Path(config.data.test).open(newline="") as test:
        row, text = next(csv.DictReader(said)), next(csv.DictReader(test))["sentence"]
    with torch.no_grad():
        encoded = AutoTokenizer.from_pretrained(path / "student")(text, return_tensors="pt")
        logits = model(**encoded).logits[0]
    numbers = [float(row["prediction"])] if task == "regression" else [float(row[name]) for name in ("good", "thing")]
    expected = logits if task == "regression" else logits.sigmoid()
    assert expected.tolist() == pytest.approx(numbers, abs=1e-4)


@pytest.mark.parametrize(
    ("task", "more", "reason"),
    [
        ("regression", ["kd=response"], "1 class: one number has no probabilities; say kd=logits"),
        ("multi_label", ["kd=decoupled"], "2 classes: there is but one other class"),
        ("regression", ["scheme=teacher_free"], "it is about the classes of labels, which regression has not"),
        ("multi_label", ["scheme=progressive"], "it is about the classes of labels, which multi_label has not"),
        ("regression", ["data.metric=accuracy"], "data.metric: 'accuracy' is none of pearson, spearman"),
        ("multi_label", ["data.labels=[good]"], r"train.csv:\d+: unknown label '.*thing'"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(task, more, reason, configured):
    with pytest.raises(UserError, match=reason):
        make_plan(configured(task, *more))


def test_a_number_that_is_none_is_named_by_file_and_line(configured, tmp_path):
    config = configured("regression")
    with (tmp_path / "train.csv").open("a") as file:
        file.write("a dull film,bad\n")
    with pytest.raises(
        UserError, match=r"train.csv:98: the label 'bad' is no number in the train split \(1 such rows\)"
    ):
        make_plan(config)


@pytest.mark.parametrize("task", TASKS)
def test_two_students_of_a_task_learn_from_each_other(task, configured, tmp_path):
    config = configured(task, "scheme=mutual", "student=bilstm", "student.learning_rate=3e-3", "baseline=false")
    assert run(config, []) > 0.5
