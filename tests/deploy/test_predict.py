"""What a student says of texts, asked as a user asks it, against its run's predictions.csv and transformers' own."""

import csv
import itertools
import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer, BertConfig
from transformers import pipeline as pipeline_of

from deploy.__main__ import main
from deploy.predict import WINDOW, Predictor
from potstill.errors import UserError
from train import run

THINGS = ("film", "story", "plot", "acting", "cast", "ending", "music")
MOODS = ("wonderful", "moving", "brilliant", "charming", "dull", "awful", "boring", "clumsy")


def as_tags(text, label):
    return " ".join("B-thing" if word in THINGS else "B-mood" if word in MOODS else "O" for word in text.split())


def as_answer(text, label):
    return json.dumps([{"text": word, "answer_start": text.index(word)} for word in text.split() if word in MOODS][:1])


def as_labels(text, label):
    return "|".join([label, *(word for word in THINGS[:2] if word in text)])


def as_number(text, label):
    return f"{2.0 * (label == 'good') + 0.25 * ('film' in text)}"


ASKED = ("data.text=[first,sentence]", *(f"data.task.{key}" for key in ("no_answer=true", "window=5", "overlap=2")))
TASKS = {
    "classification": (lambda text, label: label, ["kd=response"]),
    "pairs": (lambda text, label: label, ["kd=response", "data.text=[first,sentence]"]),
    "multi_label": (as_labels, ["kd=response", "data/task=multi_label"]),
    "regression": (as_number, ["kd=logits", "data/task=regression"]),
    "tagging": (as_tags, ["kd=response", "data/task=tagging"]),
    "question_answering": (as_answer, ["kd=response", "data/task=question_answering", *ASKED]),
}


@pytest.fixture
def trained(configure, folder, pretrained, tmp_path):
    """Trains a tiny student of a task; gives its run folder and the test file."""

    def trained(task, student):
        label, settings = TASKS[task]
        paths = []
        for split in ("train", "validation", "test", "unlabelled"):
            with (folder / f"{split}.csv").open(newline="") as file:
                rows = [("a film", row["sentence"], row.get("label", "")) for row in csv.DictReader(file)]
            with (tmp_path / f"{split}.csv").open("w", newline="") as file:
                known = [(first, text, label(text, mood)) for first, text, mood in rows]
                csv.writer(file).writerows([("first", "sentence", "label"), *known])
            paths.append(f"data.{split}={tmp_path}/{split}.csv")
        small = [f"student={student}", "optimizer.lr=5e-3", "trainer.max_epochs=4", "baseline=false", "logger=[]"]
        teacher = [f"teacher.path={pretrained}", "teacher.fine_tuning.epochs=3"]
        config = configure(*paths, *small, *teacher, *settings)
        run(config, [])
        return Path(config.run_dir), tmp_path / "test.csv"

    return trained


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.parametrize("student", ["bert_small", "bilstm"])
@pytest.mark.parametrize("task", TASKS)
def test_the_test_rows_get_the_predictions_of_the_run(task, student, trained, tmp_path):
    path, test = trained(task, student)
    assert main(["predict", str(path), "--file", str(test), "--out", f"{tmp_path}/out.csv", "--every"]) == 0
    expected, said, rows = read(path / "predictions.csv"), read(tmp_path / "out.csv"), read(test)
    assert [row["sentence"] for row in said] == [row["sentence"] for row in rows]
    names = list(expected[0])[3:]
    for one, other in zip(expected, said, strict=True):
        if task == "regression":
            assert float(other["prediction"]) == pytest.approx(float(one["prediction"]), abs=1e-5)
        else:
            assert other["prediction"] == one["prediction"]
        for name in names:
            assert float(other[name]) == pytest.approx(float(one[name]), abs=1e-5)
        if task in ("classification", "pairs"):
            assert other["probability"] == other[other["prediction"]]
    assert_pipeline_agrees(task, path, rows, said)


def assert_pipeline_agrees(task, path, rows, said):
    """What transformers' pipeline says of the student that a run saved."""
    texts = [row["sentence"] for row in rows][:8]
    if task == "question_answering":
        return  # transformers has no such pipeline any more
    if task == "tagging":
        found = pipeline_of("token-classification", model=str(path / "student"))(texts)
        for text, pieces, row in zip(texts, found, said, strict=False):
            begins = list(itertools.accumulate((len(word) + 1 for word in text.split()), initial=0))
            tags = {piece["start"]: piece["entity"] for piece in pieces}
            tags = [tags.get(start, "O") for start in begins[:-1]]
            assert tags == row["prediction"].split()
        return
    pairs = [{"text": row["first"], "text_pair": row["sentence"]} for row in rows][:8]
    found = pipeline_of("text-classification", model=str(path / "student"), top_k=None)
    for answer, row in zip(found(pairs if task == "pairs" else texts), said, strict=False):
        if task == "regression":
            assert answer[0]["score"] == pytest.approx(float(row["prediction"]), abs=1e-4)
        else:
            for entry in answer:
                assert entry["score"] == pytest.approx(float(row[entry["label"]]), abs=1e-4)


@pytest.fixture(scope="module")
def predictor(fine_tuned):
    return Predictor(fine_tuned, device="cpu", batch_size=3)


TEXTS = ["a wonderful film", "its plot is dull and boring , the story is lifeless", "awful", "the acting is superb"]


def test_answers_are_those_of_the_saved_model_in_the_order_of_the_texts(predictor, fine_tuned):
    model = AutoModelForSequenceClassification.from_pretrained(fine_tuned).eval()
    tokenizer = AutoTokenizer.from_pretrained(fine_tuned)
    answers = list(predictor(TEXTS * 3))
    assert len(answers) == 12
    for text, answer in zip(TEXTS * 3, answers, strict=True):
        with torch.no_grad():
            expected = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist()
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-5)
        assert answer.probability == max(answer.probabilities.values())
        assert answer.prediction == max(answer.probabilities, key=answer.probabilities.get)


def test_texts_are_taken_up_as_they_are_needed(predictor):
    taken = itertools.count()
    texts = (f"a film {next(taken)}" for _ in itertools.count())
    assert next(predictor(texts)).prediction in ("bad", "good")
    assert next(taken) == WINDOW


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" ", "text 2: column 'text' is empty"),
        (("one", "two"), r"text 2: 2 texts, where 1 are needed \(text\)"),
        (["two words", "one"], "text 2: column 'text': word 1, 'two words', is not one word"),
    ],
)
def test_a_text_that_is_none_is_refused(predictor, text, reason):
    with pytest.raises(UserError, match=reason):
        list(predictor(["a film", text]))


def test_a_pair_is_two_columns(fine_tuned):
    predictor = Predictor(fine_tuned, columns=["one", "two"], device="cpu")
    (answer,) = predictor([("a film", "it is dull")])
    assert len(answer.probabilities) == 2
    with pytest.raises(UserError, match="text 1: 1 texts, where 2 are needed"):
        list(predictor(["a film"]))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"device": "nowhere"}, "--device nowhere: Expected one of"),
        ({"batch_size": 0}, "--batch-size: 0 is not a whole number above 0"),
        ({"part": "films"}, "it has no part 'films'"),
    ],
)
def test_what_cannot_be_is_refused(options, reason, fine_tuned):
    with pytest.raises(UserError, match=reason):
        Predictor(fine_tuned, **options)


def test_a_folder_without_student_is_refused(tmp_path):
    with pytest.raises(UserError, match="no student there; a run folder or a saved model is needed"):
        Predictor(tmp_path)
    (tmp_path / "config.yaml").write_text("data: {text: text}")
    with pytest.raises(UserError, match=r"no student there; go on with python train\.py resume="):
        Predictor(tmp_path)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(AutoModel, "an encoder without trained head"), (AutoModelForMaskedLM, "it guesses masked words")],
)
def test_a_model_that_predicts_nothing_of_texts_is_refused(kind, reason, fine_tuned, tmp_path):
    kind.from_config(BertConfig.from_pretrained(fine_tuned)).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(fine_tuned).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=reason):
        Predictor(tmp_path)
