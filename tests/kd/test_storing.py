"""The store in whole fits: who is asked, when, and that nobody can tell a stored answer from a live one."""

import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file

import train
from kd.assembly import Assembly
from kd.plan import make_plan
from kd.signals import LiveTeacher
from kd.store.column import Column
from kd.trackers.guarded import Guarded
from potstill.errors import UserError

TERMS = {path.stem for path in (Path(train.__file__).parent / "conf" / "kd").glob("*.yaml")} - {"none"}
THREE_CLASSES = {"decoupled", "dist", "standardised"}


@pytest.fixture
def asked(monkeypatch):
    """The rows that the live teacher is asked about in training, batch by batch."""
    batches = []
    forward = LiveTeacher.forward

    def noted(self, batch):
        batches.append(len(batch["id"]))
        return forward(self, batch)

    monkeypatch.setattr(LiveTeacher, "forward", noted)
    return batches


@pytest.fixture
def distil(configure, tmp_path, asked):
    """Distils with more overrides and a store of its own; gives the student's weights and how many rows were asked."""

    def distil(*more, name="run"):
        asked.clear()
        store = [] if any(part.startswith("store.folder") for part in more) else [f"store.folder={tmp_path}/store"]
        config = configure("logger=[]", "trainer.max_epochs=2", *store, *more)
        assembly = Assembly(config, make_plan(config), tmp_path / f"{name}{time.monotonic_ns()}", [])
        teachers, _ = assembly.teachers()
        student, _, seconds = assembly.distil(teachers)
        dry_run = min(16, len(assembly.plan.rows))
        return student.state_dict(), sum(asked) - dry_run, seconds

    return distil


def test_the_teacher_is_asked_once_a_row_whatever_the_epochs(distil):
    assert distil("trainer.max_epochs=3")[1] == 96 + 48


def test_another_student_seed_and_epoch_ask_nothing(distil, caplog):
    distil()
    with caplog.at_level(logging.INFO):
        assert distil("student=bilstm", "seed=5", "trainer.max_epochs=1")[1] == 0
    assert re.search(r"store: teacher: all rows found in \S+/store/\w{16}", caplog.text)


def test_a_grown_transfer_set_asks_for_what_is_new(distil, folder):
    distil("data.unlabelled=null")
    assert distil()[1] == 48


def test_more_knowledge_asks_again_and_less_does_not(distil):
    distil("kd=[response,hidden_states]", "student=bert_small")
    assert distil("kd=relation", "student=bert_small")[1] == 144
    assert distil("kd=[response,relation]", "student=bilstm")[1] == 0


@pytest.mark.parametrize("more", [["data.max_length=8"], ["store.dtype=float32"], ["teacher.path={other}"]])
def test_what_changes_the_answers_asks_again(distil, more, fine_tuned, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(fine_tuned, other)
    weights = load_file(other / "model.safetensors")
    weights["classifier.bias"] = weights["classifier.bias"] + 1
    save_file(weights, other / "model.safetensors", {"format": "pt"})
    distil()
    assert distil(*(part.format(other=other) for part in more))[1] == 144


@pytest.mark.slow
@pytest.mark.parametrize("term", sorted(TERMS - THREE_CLASSES))
def test_stored_and_live_losses_are_the_same(term, configure, tmp_path):
    """To the last bit but one in float32, for every step; in float16 to its precision."""
    losses = {}
    short = ["trainer.max_epochs=1", "trainer.log_every_n_steps=1", "baseline=false"]
    for store in ("store=off", "store.dtype=float32", "store.dtype=float16"):
        folder = tmp_path / store.partition("=")[2]
        paths = [f"run_dir={folder}", f"store.folder={tmp_path}/store"]
        config = configure(f"kd={term}", store, *paths, *short)
        plan = make_plan(config)
        loggers = [Guarded("csv", lambda config=config: instantiate(config.logger.csv))]
        assembly = Assembly(config, plan, tmp_path / f"fit-{folder.name}", loggers)
        assembly.distil(assembly.teachers()[0])
        lines = (folder / "metrics.csv").read_text().splitlines()
        column = lines[0].split(",").index("train/loss")
        losses[store] = [float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]]
    live, exact, rounded = losses.values()
    assert len(live) == 9
    assert exact == pytest.approx(live, rel=1e-4)
    assert rounded == pytest.approx(live, rel=2e-2)


def test_a_store_that_is_off_or_too_small_asks_in_every_step(distil, caplog):
    live, rows, _ = distil("store=off")
    assert rows == 2 * 144
    again, rows, _ = distil("store.budget=0.0000001")
    assert rows == 2 * 144
    assert "store: teacher needs 576 bytes, more than store.budget=1e-07 GB: it runs live in every step" in caplog.text
    assert all(weight.equal(again[name]) for name, weight in live.items())


def test_a_disk_without_room_is_named_before_the_work(distil, caplog, monkeypatch):
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("kd.storing.shutil.disk_usage", lambda path: type(usage)(usage.total, usage.used, 100))
    assert distil()[1] == 2 * 144
    assert "more than the disk has free (100 bytes)" in caplog.text


def test_a_store_that_is_whole_is_read_however_full_the_disk_is(distil, monkeypatch):
    distil()
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("kd.storing.shutil.disk_usage", lambda path: type(usage)(usage.total, usage.used, 0))
    assert distil()[1] == 0


@pytest.mark.parametrize("place", ["file", "file/below"], ids=["file", "below"])
def test_a_folder_that_cannot_be_written_is_named_by_the_plan(configure, tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"store.folder: .*file is no folder that can be written"):
        make_plan(configure(f"store.folder={tmp_path / place}"))


def test_a_damaged_shard_is_named_and_asked_again(distil, tmp_path, caplog):
    weights, _, _ = distil()
    (shard,) = Column(next((tmp_path / "store").glob("*/logits"))).shards()
    shard.write_bytes(shard.read_bytes()[:-9])
    again, rows, _ = distil()
    assert rows == 144
    assert f"{shard} is damaged; its rows are computed again" in caplog.text
    assert all(weight.equal(again[name]) for name, weight in weights.items())


def test_loader_processes_read_the_store_themselves(distil):
    here, _, _ = distil()
    there, rows, _ = distil("data.workers=2")
    assert rows == 0
    assert all(weight.equal(there[name]) for name, weight in here.items())


def test_who_teaches_while_learning_is_not_stored(configure):
    config = configure("scheme=mutual", "kd=response")
    assert "store     nothing: no term reads a frozen teacher" in str(make_plan(config))


def start(*arguments, **options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, train.__file__, *arguments], env=environment, **options)


@pytest.fixture
def command(overrides, tmp_path):
    """The command line of a small run, with its own store, whose teacher is asked a row at a time."""

    def command(name, *more):
        settings = [part for part in overrides if not part.startswith("run_dir=")]
        store = [f"store.folder={tmp_path}/store", "store.batch_tokens=1", f"hydra.run.dir={tmp_path / name}"]
        return [*settings, *store, "student=bilstm", "baseline=false", "kd=[response,hidden_states]", *more]

    return command


@pytest.mark.slow
def test_two_runs_that_start_together_ask_once(command, tmp_path):
    runs = [start(*command(name), stdout=subprocess.PIPE, text=True) for name in ("one", "other")]
    outputs = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert sorted("asking teacher once" in output for output in outputs) == [False, True]
    assert sorted("all rows found" in output for output in outputs) == [False, True]
    reports = [json.loads((tmp_path / name / "report.json").read_text())["student"] for name in ("one", "other")]
    assert reports[0]["score"] == reports[1]["score"]


@pytest.mark.slow
def test_a_run_that_is_killed_while_it_asks_leaves_a_store_that_is_whole(command, tmp_path):
    process = start(*command("killed"), stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if "asking teacher once" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = start(*command("again"), stdout=subprocess.PIPE, text=True)
    output, _ = again.communicate(timeout=300)
    assert again.returncode == 0
    assert "damaged" not in output
    assert not list((tmp_path / "store").rglob("*.damaged"))
