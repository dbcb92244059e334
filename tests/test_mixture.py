"""Two data sets at once: a teacher for both, students that learn from it, and what can be taken out of it."""

import csv
import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from deploy.predict import Predictor
from kd.assembly import Assembly
from kd.plan import make_plan
from potstill.errors import UserError
from train import run

pytestmark = pytest.mark.slow

THINGS = ("film", "story", "plot", "acting", "cast", "ending", "music")
ROOT = Path(__file__).parent.parent
SPLITS = ("train", "validation", "test")


@pytest.fixture
def mixture(overrides, folder, pretrained, tmp_path):
    """Moods of texts, as they are; and pairs, whose label says whether the second text is about certain things."""
    for split in SPLITS:
        with (folder / f"{split}.csv").open(newline="") as file:
            texts = [row["sentence"] for row in csv.DictReader(file)]
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            about = (("a film", text, "yes" if any(thing in text for thing in THINGS) else "no") for text in texts)
            csv.writer(file).writerows([("question", "sentence", "label"), *about])
    own = [override for override in overrides if not override.startswith(("data", "teacher.path"))]
    own += ["data=mixture", "data.batch_size=16", "data.max_length=64", "data.parts.moods.text=sentence"]
    for name, place in (("moods", folder), ("things", tmp_path)):
        own += [f"+data@data.parts.{name}=files"]
        own += [f"data.parts.{name}.{split}={place}/{split}.csv" for split in SPLITS]
    own += ["data.parts.things.text=[question,sentence]", f"teacher.path={pretrained}", "logger=[]"]
    return [*own, "teacher.fine_tuning.epochs=15", "teacher.fine_tuning.learning_rate=3e-3", "optimizer.lr=5e-3"]


def composed(*overrides):
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def reported(path):
    return json.loads((path / "report.json").read_text())


@pytest.mark.parametrize("student", ["bert_small", "bilstm", "attentive_bilstm"])
def test_two_tasks_are_learnt_from_one_teacher(student, mixture, tmp_path):
    config = composed(*mixture, f"student={student}", "kd=[response,pooled]", "trainer.max_epochs=12")
    assert run(config, []) > 0.7
    report = reported(tmp_path / "run")
    for role, least in (("teacher", 0.75), ("student", 0.7), ("baseline", 0.6)):
        scores = report[role]["scores"]
        assert scores["accuracy"] == pytest.approx((scores["accuracy/moods"] + scores["accuracy/things"]) / 2)
        assert scores["accuracy"] == report[role]["score"] > least


def test_what_a_stranger_loads_says_the_same_of_the_classes_of_a_part(mixture, tmp_path):
    run(composed(*mixture, "kd=none", "trainer.max_epochs=1"), [])
    student = tmp_path / "run" / "student"
    model, tokenizer = (each.from_pretrained(student) for each in (AutoModelForSequenceClassification, AutoTokenizer))
    with (tmp_path / "run" / "predictions.csv").open(newline="") as said:
        rows = list(csv.DictReader(said))
    with (tmp_path / "test.csv").open(newline="") as test:
        pairs = [(row["question"], row["sentence"]) for row in csv.DictReader(test)]
    names = [model.config.id2label[number] for number in range(4)]
    assert names == ["moods/bad", "moods/good", "things/no", "things/yes"]
    with torch.no_grad():
        logits = model.eval()(**tokenizer(pairs, padding=True, return_tensors="pt")).logits[:, 2:]
    for row, expected in zip(rows[-len(pairs) :], logits.softmax(-1).tolist(), strict=True):
        assert [float(row[name]) for name in names] == pytest.approx([0, 0, *expected], abs=1e-4)
        assert row["label"].startswith("things/")
        assert row["prediction"].startswith("things/")
    answers = list(Predictor(tmp_path / "run", part="things")(pairs))
    assert [f"things/{answer.prediction}" for answer in answers] == [row["prediction"] for row in rows[-len(pairs) :]]
    with pytest.raises(UserError, match="--part: name the data set whose classes are meant, one of moods, things"):
        Predictor(tmp_path / "run")


@pytest.mark.parametrize("name", ["moods", "things"])
def test_a_part_of_a_student_is_a_teacher(name, mixture, configure, folder, tmp_path):
    """It has the score that the part had, and a student of that task alone learns from it."""
    run(composed(*mixture, "kd=none", "trainer.max_epochs=6"), [])
    place, text = (folder, "sentence") if name == "moods" else (tmp_path, "[question,sentence]")
    files = [f"data.{split}={place}/{split}.csv" for split in SPLITS]
    own = [f"data.text={text}", f"teacher.path={tmp_path}/run/student", f"teacher.part={name}", "data.unlabelled=null"]
    config = configure(*files, *own, f"run_dir={tmp_path}/alone", "student=bilstm", "logger=[]", "baseline=false")
    assert f"the classes of {name}" in str(make_plan(config))
    run(config, [])
    report = reported(tmp_path / "run")
    assert reported(tmp_path / "alone")["teacher"]["score"] == report["student"]["scores"][f"accuracy/{name}"]


def test_stored_answers_are_those_of_the_live_teacher(mixture, tmp_path):
    more = [*mixture, "trainer.max_epochs=1", "baseline=false", "store.dtype=float32"]
    weights = []
    for number, store in enumerate(("disk", "off")):
        config = composed(*[each for each in more if "dtype" not in each or not number], f"store={store}")
        assembly = Assembly(config, make_plan(config), tmp_path / store, [])
        student, _, _ = assembly.distil(assembly.teachers()[0])
        weights.append(torch.cat([weight.flatten() for weight in student.parameters()]))
    stored, live = weights  # a gradient that is nearly nothing may have another sign, which Adam makes much of
    assert (stored - live).abs().mean() < 1e-6


def test_stages_carry_the_weights_on(mixture, tmp_path):
    before = composed(*mixture, "kd=none", "trainer.max_epochs=8", "baseline=false")
    score = run(before, [])
    start = f"start_from={tmp_path}/run/student"
    after = composed(*mixture, start, "optimizer.lr=1e-9", "trainer.max_epochs=1", "baseline=false")
    after.run_dir = str(tmp_path / "again")
    assert run(after, []) == pytest.approx(score, abs=0.03)


@pytest.mark.parametrize("name", ["moods", "things"])
def test_variants_of_a_part_are_of_that_part(name, mixture):
    plan = make_plan(composed(*mixture, f"data/augmentation@data.parts.{name}.augmentation=tang"))
    others = plan.examples.unlabelled
    assert len(others) > 500
    assert set(others["part"]) == {["moods", "things"].index(name)}


@pytest.mark.parametrize("scheme", ["mutual", "ensemble", "self", "native_ensemble", "mean_teacher", "joint"])
def test_schemes_keep_to_the_classes_of_a_part(scheme, mixture):
    config = composed(*mixture, f"scheme={scheme}", "trainer.max_epochs=3", "baseline=false", "student=bert_small")
    assert run(config, []) > 0.5


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["+data.parts.films=sst2"], r"say \+data@data.parts.films=sst2"),
        (["data/augmentation=tang"], "data.augmentation: say data/augmentation@data.parts.NAME.augmentation"),
        (["data/task=classification"], "data/task: mixture is the task of data=mixture, and of nothing else"),
        (["data.temperature=hot"], "data.temperature: 'hot' is not a number from 1 on"),
        (["kd=dist"], "kd.terms.dist: .*what one text chooses among is not what another one does"),
        (["scheme=teacher_free"], "scheme: it has no meaning for mixture"),
        (["data/task@data.parts.moods.task=tagging"], "data.parts.moods: tagging cannot be mixed"),
        (["data.parts.moods.text=words"], r"data.parts.moods: .*train.csv:2: no column 'words'"),
        (["data.temperature=0.5"], "data.temperature: 0.5 is not a number from 1 on"),
        (["teacher.part=films"], "it has no part 'films'; there are none"),
    ],
)
def test_what_cannot_be_is_one_line(more, reason, mixture):
    with pytest.raises(UserError, match=reason):
        make_plan(composed(*mixture, *more))
