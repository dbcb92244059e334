"""A number, any labels, or a tag a word: whole runs with every student, a teacher fine-tuned for it, and the store."""

import csv
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, AutoTokenizer

from data.words import word_numbers
from kd.assembly import Assembly
from kd.plan import make_plan
from potstill.errors import UserError
from train import run

pytestmark = pytest.mark.slow

THINGS = ("film", "story", "plot", "acting", "cast", "ending", "music")
MOODS = ("wonderful", "moving", "brilliant", "charming", "dull", "awful", "boring", "clumsy")


def as_number(text: str, label: str) -> str:
    """How good, and a little for the kind of thing."""
    return f"{2.0 * (label == 'good') + 0.25 * any(thing in text for thing in THINGS):g}"


def as_labels(text: str, label: str) -> str:
    """Whether good, and whether about certain things; perhaps neither."""
    about = any(thing in text for thing in THINGS)
    return "|".join([*(["good"] if label == "good" else []), *(["thing"] if about else [])]) or "|"


def as_tags(text: str, label: str) -> str:
    """Certain things, and moods."""
    kinds = ("B-thing" if word in THINGS else "B-mood" if word in MOODS else "O" for word in text.split())
    return " ".join(kinds)


TASKS = {
    "regression": (as_number, ["kd=[logits,hidden_states]", "optimizer.lr=3e-3", "trainer.max_epochs=16"], "pearson"),
    "multi_label": (as_labels, ["kd=[response,pooled]", "optimizer.lr=3e-3", "trainer.max_epochs=8"], "f1"),
    "tagging": (as_tags, ["kd=[response,hidden_states]", "optimizer.lr=5e-3", "trainer.max_epochs=15"], "f1"),
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
        teacher = [f"teacher.path={pretrained}", "teacher.fine_tuning.epochs=25"]
        teacher += ["teacher.fine_tuning.learning_rate=3e-3"]
        return configure(f"data/task={task}", *paths, *teacher, *kd, "logger=[]", *more)

    return configured


@pytest.mark.parametrize("student", ["bert_small", "bilstm", "cnn_lstm"])
@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_learnt_and_reported(task, student, configured):
    config = configured(task, f"student={student}")
    score = run(config, [])
    path = Path(config.run_dir)
    report = json.loads((path / "report.json").read_text())
    assert (report["task"], report["metric"]) == (task, TASKS[task][2])
    assert report["teacher"]["score"] > 0.7
    assert score > 0.6
    assert report["baseline"]["score"] > 0.5
    with (path / "predictions.csv").open(newline="") as said, Path(config.data.test).open(newline="") as test:
        assert_said(task, path, next(csv.DictReader(said)), next(csv.DictReader(test))["sentence"])


def assert_said(task, path, row, text):
    """What the report was made of is what a stranger's loaded student says."""
    loader = AutoModelForTokenClassification if task == "tagging" else AutoModelForSequenceClassification
    model, tokenizer = loader.from_pretrained(path / "student").eval(), AutoTokenizer.from_pretrained(path / "student")
    encoded = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded).logits[0]
    if task == "regression":
        assert logits.item() == pytest.approx(float(row["prediction"]), abs=1e-4)
    elif task == "multi_label":
        assert logits.sigmoid().tolist() == pytest.approx([float(row[name]) for name in ("good", "thing")], abs=1e-4)
    else:
        words = word_numbers([text], encoded.encodings[0], 64).tolist()
        first = [words.index(number) for number in range(len(text.split()))]
        assert [model.config.id2label[int(logits[place].argmax())] for place in first] == row["prediction"].split()


def test_a_tagger_with_words_of_its_own_learns_from_pieces(configured):
    config = configured("tagging", "student=bilstm", "student.vocabulary=words", "student.vocabulary_size=15")
    assert make_plan(config).drafts["student"].spec.segmentation != make_plan(config).teacher.spec.segmentation
    assert run(config, []) > 0.6


@pytest.mark.parametrize(
    ("task", "more", "reason"),
    [
        ("regression", ["kd=response"], "1 class: one number has no probabilities; say kd=logits"),
        ("multi_label", ["kd=decoupled"], "2 classes: there is but one other class"),
        ("regression", ["scheme=teacher_free"], "scheme: it has no meaning for regression"),
        ("multi_label", ["scheme=progressive"], "scheme: it has no meaning for multi_label"),
        ("tagging", ["scheme=collaborative"], "scheme: it has no meaning for tagging"),
        ("tagging", ["scheme=self", "student=bert_small"], "its exits have one answer for a text"),
        ("regression", ["data.metric=accuracy"], r"data.metric: 'accuracy' is none of pearson, spearman"),
        ("multi_label", ["data.labels=[good]"], r"train.csv:\d+: unknown label '.*thing'"),
        ("tagging", ["data.labels=[O,B-mood]"], r"train.csv:\d+: unknown label 'B-thing'"),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(task, more, reason, configured):
    with pytest.raises(UserError, match=reason):
        make_plan(configured(task, *more))


@pytest.mark.parametrize(
    ("task", "label", "reason"),
    [
        ("regression", "bad", r"train.csv:98: the label 'bad' is no number in the train split \(1 such rows\)"),
        ("tagging", "O O", r"train.csv:98: 2 tags for 3 words in the train split \(1 such rows\); each word has one"),
    ],
)
def test_a_label_that_is_none_is_named_by_file_and_line(task, label, reason, configured, tmp_path):
    config = configured(task)
    with (tmp_path / "train.csv").open("a") as file:
        file.write(f"a dull film,{label}\n")
    with pytest.raises(UserError, match=reason):
        make_plan(config)


def test_targets_from_the_neighbours_of_a_tag(configured):
    with pytest.raises(UserError, match="scheme: it has no meaning for regression"):
        make_plan(configured("regression", "scheme=neighbours"))
    config = configured("tagging", "scheme=neighbours", "kd=soft_cross_entropy", "student=cnn_lstm", "baseline=false")
    assert run(config, []) > 0.5


@pytest.mark.parametrize("task", TASKS)
def test_two_students_of_a_task_learn_from_each_other(task, configured):
    config = configured(task, "scheme=mutual", "student=bilstm", "baseline=false")
    assert run(config, []) > 0.5


class Kept(Assembly):
    """Keeps what was fitted, and the batches as they were read."""

    def _fit(self, distiller, batches, *args, **kwargs):
        fitted = super()._fit(distiller, batches, *args, **kwargs)
        self.distiller, self.batches = distiller, batches
        return fitted


@pytest.mark.parametrize("words", [[], ["student.vocabulary=words", "student.vocabulary_size=15"]], ids=["one", "two"])
@pytest.mark.parametrize("task", TASKS)
def test_nobody_can_tell_a_stored_answer_from_a_live_one(task, words, configured, tmp_path):
    more = ["student=bilstm", "store.dtype=float32", f"store.folder={tmp_path}/store", "trainer.max_epochs=1", *words]
    config = configured(task, *more, "data.max_length=8")  # at which texts are cut
    assembly = Kept(config, make_plan(config), tmp_path / "run", [])
    teachers, _ = assembly.teachers()
    assembly.distil(teachers)
    signal, count = assembly.distiller.signals["teacher"], 0
    for batch in assembly.batches.train_dataloader():
        stored, live = signal(batch), signal.live(batch)
        assert "stored" in batch
        torch.testing.assert_close(stored.logits, live.logits, rtol=1e-4, atol=1e-4)
        assert (stored.rows is None) == (task != "tagging")
        assert stored.rows is None or stored.rows.equal(live.rows)
        count += len(batch["id"])
    assert count >= 96


def test_a_tagger_is_gone_on_with_and_found_again(configured, tmp_path):
    """As a teacher that is tuned already, and as the first weights of a student."""
    first = configured("tagging", "student=bilstm", "baseline=false", f"run_dir={tmp_path}/first")
    run(first, [])
    again = configured("tagging", "student=bilstm", "baseline=false", f"start_from={tmp_path}/first/student")
    assert run(again, []) > 0.5
    taught = ["teacher=local", f"teacher.path={tmp_path}/first/student", "student.embeddings=random"]
    taught += ["student.embedding_size=16", f"run_dir={tmp_path}/second", "student=bilstm", "baseline=false"]
    config = configured("tagging", *taught, "kd=response")
    assert "used as it is" in str(make_plan(config))
    run(config, [])
    with pytest.raises(UserError, match="it has a head for another task"):
        make_plan(configured("regression", *taught))


@pytest.mark.parametrize(
    "scheme", ["ensemble", "codistillation", "joint", "mean_teacher", "snapshot", "native_ensemble"]
)
@pytest.mark.parametrize("task", TASKS)
def test_a_scheme_takes_a_task_or_says_why_not(task, scheme, configured):
    more = ["student=bilstm", "baseline=false", "trainer.max_epochs=2"]
    kd = ["kd=response"] if task != "regression" else ["kd=logits"]
    config = configured(task, f"scheme={scheme}", *more, *kd)
    refused = {
        "ensemble": task != "tagging",
        "codistillation": task != "tagging",
        "native_ensemble": task == "tagging",
    }
    if refused.get(scheme):
        with pytest.raises(UserError, match=r"scheme: its? "):
            make_plan(config)
    else:
        assert -1 <= run(config, []) <= 1  # of a correlation in two epochs nothing can be said
