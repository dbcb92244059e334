"""Whole runs, as a user starts them."""

import csv
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import models  # noqa: F401 (registers the LSTM students)
import train
from kd.assembly import Assembly
from kd.plan import make_plan
from train import run

STUDENTS = ("bert_small", "bilstm", "cnn_lstm")
KEYS = [
    "task",
    "metric",
    "split",
    "teacher",
    "student",
    "baseline",
    "exits",
    "retention",
    "kd_gain",
    "compression",
    "speedup",
    "teacher_seconds",
    "store_seconds",
    "distill_seconds",
    "updates",
    "validation_score",
    "versions",
    "overrides",
]


@pytest.fixture
def cli(overrides, monkeypatch, capfd, tmp_path):
    """Runs `python train.py` in this process; gives exit code, output and error output."""

    def cli(*more):
        arguments = [part for part in overrides if not part.startswith("run_dir=")]
        arguments += [f"hydra.run.dir={tmp_path / 'cli'}", *more]
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        code = train.command_line()
        out, err = capfd.readouterr()
        return code, out, err

    return cli


@pytest.mark.parametrize("student", STUDENTS)
def test_a_run_leaves_a_report_and_a_student_that_loads(student, configure, folder):
    config = configure(f"student={student}", "student.learning_rate=3e-3", "trainer.max_epochs=6")
    chosen_by = run(config, ["student=…"])
    path = Path(config.run_dir)
    report = json.loads((path / "report.json").read_text())
    assert list(report) == KEYS
    assert report["validation_score"] == chosen_by
    assert (score := report["student"]["score"]) > 0.75
    assert report["retention"] == pytest.approx(score / report["teacher"]["score"])
    assert report["kd_gain"] == pytest.approx(score - report["baseline"]["score"])
    assert set(report["speedup"]) == {"1", "32"}
    assert {"config.yaml", "overrides.yaml", "metrics.csv", "report.md", "report.png"} <= {
        p.name for p in path.iterdir()
    }
    assert_same_predictions(path, folder / "test.csv")


def assert_same_predictions(path: Path, test: Path) -> None:
    """The student as a stranger would load it against what the report was made of."""
    model = AutoModelForSequenceClassification.from_pretrained(path / "student").eval()
    tokenizer = AutoTokenizer.from_pretrained(path / "student")
    with test.open() as texts, (path / "predictions.csv").open() as predictions:
        for row, predicted in zip(csv.DictReader(texts), csv.DictReader(predictions), strict=True):
            with torch.no_grad():
                values = model(**tokenizer(row["sentence"], return_tensors="pt")).logits.softmax(-1)[0]
            stated = [float(predicted[model.config.id2label[number]]) for number in range(2)]
            assert values.tolist() == pytest.approx(stated, abs=1e-5)


def test_label_free_rows_and_test_rows_change_no_score_of_the_baseline(configure, folder, tmp_path):
    """The baseline must depend on labelled rows alone, whatever the transfer and test sets hold."""
    shuffled = tmp_path / "other.csv"
    lines = (folder / "test.csv").read_text().splitlines()
    shuffled.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    weights = []
    for more in ([], [f"data.unlabelled={folder}/validation.csv", f"data.test={shuffled}"]):
        config = configure("student=bilstm", f"run_dir={tmp_path / str(len(more))}", "logger=[]", *more)
        assembly = Assembly(config, make_plan(config), Path(config.run_dir), [])
        teachers, _ = assembly.teachers()
        weights.append(assembly.baseline(teachers["teacher"], updates=12).state_dict())
    assert all(one.equal(other) for one, other in zip(weights[0].values(), weights[1].values(), strict=True))


def test_no_teacher_no_baseline(configure):
    config = configure(
        "scheme=mutual",
        "student=bilstm",
        "student.vocabulary=words",
        "student.embeddings=random",
        "student.embedding_size=16",
        "baseline=false",
    )
    config.teacher = {"model": None, "train": True}
    run(config, [])
    report = json.loads((Path(config.run_dir) / "report.json").read_text())
    assert list(report) == KEYS
    assert [report[key] for key in ("teacher", "baseline", "retention", "kd_gain", "speedup")] == [None] * 5


def test_a_teacher_without_head_is_fine_tuned_once(configure, pretrained, tmp_path, caplog):
    more = [f"teacher.path={pretrained}", "baseline=false", "student=bilstm", "teacher.fine_tuning.epochs=1"]
    config = configure(*more, f"run_dir={tmp_path / 'one'}", f"cache_dir={tmp_path / 'cache'}")
    run(config, [])
    assert json.loads((tmp_path / "one" / "report.json").read_text())["teacher_seconds"] > 0
    config = configure(*more, f"run_dir={tmp_path / 'two'}", f"cache_dir={tmp_path / 'cache'}", "seed=2")
    with caplog.at_level(logging.INFO):
        run(config, [])
    assert json.loads((tmp_path / "two" / "report.json").read_text())["teacher_seconds"] == 0
    assert "teacher: found" in caplog.text


def test_the_teacher_is_asked_once_and_found_in_its_store_by_the_next_run(configure, tmp_path, caplog):
    reports, logs = [], []
    for name in ("one", "two"):
        more = ["baseline=false", "student=bilstm", f"run_dir={tmp_path / name}", f"cache_dir={tmp_path / 'cache'}"]
        caplog.clear()
        with caplog.at_level(logging.INFO):
            run(configure(*more, "kd=[response,feature]"), [])
        reports.append(json.loads((tmp_path / name / "report.json").read_text()))
        logs.append(caplog.text)
    assert reports[0]["store_seconds"] > 0
    assert reports[1]["store_seconds"] >= 0
    assert "store: asking teacher once for hidden_states.4, logits of 144 of 144 rows" in logs[0]
    assert "all rows found in" not in logs[0]
    assert "store: teacher: all rows found in" in logs[1]
    assert "asking teacher" not in logs[1]
    assert reports[0]["student"]["score"] == reports[1]["student"]["score"]
    assert_equal_weights(tmp_path / "one", tmp_path / "two")


def test_without_store_the_teacher_is_never_asked_beforehand(configure, tmp_path):
    config = configure("baseline=false", "student=bilstm", "store=off", f"cache_dir={tmp_path / 'cache'}")
    run(config, [])
    report = json.loads((Path(config.run_dir) / "report.json").read_text())
    assert report["store_seconds"] == pytest.approx(0, abs=0.5)
    assert not (tmp_path / "cache" / "store").exists()


def student_weights(path: Path) -> dict[str, torch.Tensor]:
    return AutoModelForSequenceClassification.from_pretrained(path / "student").state_dict()


def assert_equal_weights(one: Path, other: Path) -> None:
    first, second = student_weights(one), student_weights(other)
    assert all(weight.equal(second[name]) for name, weight in first.items())


def test_the_same_seed_gives_the_same_weights_and_another_one_others(configure, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        config = configure("student=cnn_lstm", f"seed={seed}", f"run_dir={tmp_path / name}", "baseline=false")
        run(config, [])
    assert_equal_weights(tmp_path / "one", tmp_path / "again")
    with pytest.raises(AssertionError):
        assert_equal_weights(tmp_path / "one", tmp_path / "other")


def start(*arguments: str, **options: object) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, train.__file__, *arguments], env=environment, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("student", "every", "more"),
    [
        ("bilstm", 5, []),  # inside an epoch
        ("bert_small", 36, ["student.learning_rate=1e-2"]),  # between two, when the best score is known already
        ("bilstm", 2, ["trainer.accumulate_grad_batches=5"]),  # which does not divide the batches of an epoch
    ],
)
def test_a_killed_run_goes_on_to_the_very_same_weights(student, every, more, overrides, tmp_path):
    """Killed after a checkpoint; with knowledge that has weights of its own."""
    settings = [part for part in overrides if not part.startswith(("run_dir", "trainer.max_epochs", "data.batch"))]
    settings += [
        f"student={student}",
        "kd=[response,feature]",
        "baseline=false",
        "data.batch_size=4",
        "trainer.max_epochs=4",
        f"checkpoint_every_n_steps={every}",
        *more,
    ]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(*settings, f"hydra.run.dir={whole}").wait() == 0

    process = start(*settings, f"hydra.run.dir={killed}")
    checkpoint = killed / "distill" / "last.ckpt"
    while process.poll() is None and not well_under_way(checkpoint, inside=every < 36):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    assert well_under_way(checkpoint, inside=every < 36)

    assert start(f"resume={killed}").wait() == 0
    assert_equal_weights(whole, killed)
    reports = [json.loads((path / "report.json").read_text()) for path in (whole, killed)]
    assert reports[0]["student"]["score"] == reports[1]["student"]["score"]
    assert reports[0]["overrides"] == [part.replace(str(whole), str(killed)) for part in reports[1]["overrides"]]


def well_under_way(checkpoint: Path, inside: bool) -> bool:
    """Whether a checkpoint of the second or a later epoch is there, from inside an epoch or from its end."""
    try:
        state = torch.load(checkpoint, weights_only=False)["Batches"]
    except (OSError, EOFError, RuntimeError):
        return False
    return state["epoch"] >= 2 - inside and (state["batch"] > 0) == inside


def test_a_finished_run_is_only_reported_again(cli, tmp_path):
    assert cli("baseline=false", "student=bilstm")[0] == 0
    before = student_weights(tmp_path / "cli")
    (tmp_path / "cli" / "report.json").unlink()
    code, _out, _ = cli_of([f"resume={tmp_path / 'cli'}"])
    assert code == 0
    assert all(weight.equal(before[name]) for name, weight in student_weights(tmp_path / "cli").items())
    assert (tmp_path / "cli" / "report.json").exists()
    assert list((tmp_path / "cli").glob("metrics-1.csv"))


def test_a_run_of_an_earlier_version_is_not_gone_on_with(cli, monkeypatch, capfd, tmp_path):
    assert cli("baseline=false", "student=bilstm", "trainer.max_epochs=1")[0] == 0
    written = tmp_path / "cli" / "config.yaml"
    kept = [line for line in written.read_text().splitlines() if not line.startswith("start_from:")]
    written.write_text("\n".join(kept))
    monkeypatch.setattr(sys, "argv", ["train.py", f"resume={tmp_path / 'cli'}"])
    assert train.command_line() == 1
    err = capfd.readouterr().err
    assert "was made by an earlier version, which had no start_from; begin anew with what" in err
    assert "Traceback" not in err


def cli_of(arguments: list[str]) -> tuple[int, str, str]:
    """As a process of its own, where the fixture's overrides must not be given."""
    done = subprocess.run([sys.executable, train.__file__, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["kd=featur"], "Could not find 'kd/featur' Available options in 'kd': affinity"),
        (["optimiser.lr=1"], "Could not override 'optimiser.lr'"),
        (["kd=[response"], "error: "),
        (["scheme=self", "student=bilstm"], "error: scheme=self: the student (potstill_bilstm) has 1 layer"),
        (["data.validation={path}/unknown.csv"], "unknown.csv:3: unknown label 'ugly' in the validation split"),
        (["data.train={path}/binary.csv"], "binary.csv:1: not text but binary data"),
        (["data.label=klass"], "train.csv:2: no column 'klass'; there are 'sentence', 'label'"),
        (["resume={path}"], "is no run folder"),
        (["trainer.precision=foo"], "error: trainer: "),
        (["trainer.accelerator=gpu"], "error: trainer: "),
        (["optimizer.schedule=foo"], "error: optimizer.schedule: 'foo' is none of linear, cosine"),
        (["kd.terms.response.temperature=0"], "error: kd.terms.response: temperature 0 is not above 0"),
        (["data.split.test=2", "data.split.validation=0"], "must leave something to train on"),
        (["student.hidden_size=abc"], "error: student.hidden_size: 'abc' is not a whole number above 0"),
        (["kd.terms.response.weight=-1"], "error: kd.terms.response: weight -1 is not a number from 0 on"),
        (["scheme=mutual", "+student@scheme.peers.teacher=bilstm"], "error: scheme.peers: 'teacher' cannot be"),
        (["seed=abc"], "error: seed: 'abc' is not a whole number from 0 on"),
        (["teacher.path={path}"], "no model here"),
        (["store.dtype=float64"], "error: store.dtype: 'float64' is none of float16, bfloat16, float32"),
        (["store.budget=-1"], "error: store.budget: -1 is not a number of gigabytes from 0 on"),
        (["trainer.max_epochs=two"], "error: trainer.max_epochs: 'two' is not a whole number from 1 on"),
    ],
)
def test_a_mistake_gets_one_line_and_no_traceback(cli, tmp_path, more, reason):
    (tmp_path / "unknown.csv").write_text("sentence,label\nfine,good\nodd,ugly\n")
    (tmp_path / "binary.csv").write_bytes(b"sentence\0,label\n\x01\x02")
    code, _, err = cli(*(part.format(path=tmp_path) for part in more))
    lines = [line for line in err.splitlines() if line.startswith(("error", "Error", "Traceback"))]
    assert code == 1
    assert len(lines) == 1
    assert reason in lines[0]
    assert not (tmp_path / "cli" / "distill").exists()


def test_a_plan_leaves_no_folder_behind(cli, tmp_path):
    code, out, _ = cli("plan=true", "kd=feature", "scheme=self", "student=bert_small")
    assert code == 0
    assert "exit1 <- student: hidden_states" in out
    assert not (tmp_path / "cli").exists()


def test_bad_rows_where_going_on_is_right_are_counted(configure, tmp_path, caplog):
    rows = ["sentence,label", *(f"{text},{label}" for text, label in [("fine film", "good"), ("bad film", "bad")] * 8)]
    (tmp_path / "odd.csv").write_text("\n".join([*rows, " ,good", "word " * 50_000 + ",bad"]) + "\n")
    config = configure(f"data.train={tmp_path}/odd.csv", "student=bilstm", "baseline=false", "data.max_length=32")
    run(config, [])
    assert "1 rows of train have an empty text and are left out, first" in caplog.text
    assert "1 of 65 texts are longer than 32 tokens" in caplog.text


def test_a_failing_logger_does_not_stop_training(configure, tmp_path, caplog):
    config = configure("student=bilstm", "baseline=false", "+logger.gone._target_=no.such.tracker.Logger")
    assert run(config, []) is not None
    assert "logger gone failed and is switched off" in caplog.text


@pytest.mark.slow
def test_a_full_disk_is_named_and_earlier_results_stay(overrides, tmp_path):
    """The limit on a file's size makes the checkpoint of a larger student fail as a full disk would."""
    earlier = tmp_path / "earlier"
    settings = [part for part in overrides if not part.startswith("run_dir=")] + ["baseline=false", "student=bilstm"]
    assert start(*settings, f"hydra.run.dir={earlier}").wait() == 0
    before = {path: path.read_bytes() for path in (earlier / "student").iterdir()}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = start(
        *settings, f"hydra.run.dir={tmp_path / 'full'}", stderr=subprocess.PIPE, text=True, preexec_fn=limit
    )
    _, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert [line for line in err.splitlines() if line.startswith("error: the disk is full")]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.slow
def test_a_sweep_goes_on_after_a_cell_that_cannot_be(overrides, tmp_path):
    settings = [part for part in overrides if not part.startswith("run_dir=")]
    done = subprocess.run(
        [
            sys.executable,
            train.__file__,
            "-m",
            *settings,
            f"hydra.sweep.dir={tmp_path}/sweep",
            "student=bilstm",
            "scheme=self,offline",
            "baseline=false",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("error: scheme=self") == 1
    assert "Traceback" not in done.stderr
    assert [path.parent.name for path in (tmp_path / "sweep").glob("*/report.json")] == ["1"]


@pytest.mark.slow
def test_two_processes_train_together(overrides, pretrained, tmp_path):
    """They fine-tune the teacher together, distil together, and one of them reports."""
    settings = [part for part in overrides if not part.startswith(("run_dir=", "cache_dir=", "teacher.path="))]
    settings += ["student=bilstm", "kd=[response,feature]", "trainer.devices=2", f"cache_dir={tmp_path / 'cache'}"]
    settings += ["trainer.strategy=ddp_find_unused_parameters_true", f"teacher.path={pretrained}"]
    process = start(*settings, f"hydra.run.dir={tmp_path / 'run'}", stdout=subprocess.PIPE, text=True)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert out.count("pair      student <- teacher") == 1
    assert out.count("| student ") == 1
    done = [json.loads((tmp_path / "run" / phase / "done.json").read_text()) for phase in ("distill", "baseline")]
    assert done[0]["updates"] == done[1]["updates"] == 2 * 4


def test_a_run_folder_names_the_choices_defaults_included(cli, tmp_path):
    assert cli("baseline=false", "student=bilstm")[0] == 0
    named = OmegaConf.load(tmp_path / "cli" / "choices.yaml")
    assert (named.student, named.data, named.scheme, named.optimizer) == ("bilstm", "files", "offline", "adamw")
    assert not any(group.startswith("hydra/") for group in named)


def test_a_folder_that_holds_a_run_is_not_written_over(cli, tmp_path):
    assert cli("baseline=false", "student=bilstm")[0] == 0
    before = (tmp_path / "cli" / "report.json").read_bytes()
    code, _, err = cli("baseline=false", "student=cnn_lstm")
    assert code == 1
    assert "holds a run already; go on with resume=" in err
    assert (tmp_path / "cli" / "report.json").read_bytes() == before
