"""Whole sweeps: each job a process of its own, under every launcher; failed ones, and going on."""

import json
import os
import subprocess
import sys

import pytest

import train

MAIN = train.__file__

pytestmark = pytest.mark.slow


@pytest.fixture
def sweep(overrides, tmp_path):
    settings = [part for part in overrides if not part.startswith("run_dir=")]

    def sweep(*more, folder=None, at=None, train=None):
        place = [f"hydra.sweep.dir={folder or tmp_path / 'sweep'}"]
        mine = [f"data.train={train}" if train and part.startswith("data.train=") else part for part in settings]
        command = [sys.executable, MAIN, "-m", *mine, *place, "baseline=false", "logger=[]", *more]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=at)

    return sweep


def reports(folder):
    return {path.parent.name: json.loads(path.read_text()) for path in sorted(folder.glob("*/report.json"))}


@pytest.mark.parametrize(
    "launcher", [[], ["launcher=joblib"], ["launcher=submitit_local"]], ids=["basic", "joblib", "submitit"]
)
def test_a_failed_job_does_not_stop_the_others(launcher, sweep, tmp_path):
    done = sweep("student=bilstm", "scheme=self,offline", *launcher)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    assert set(reports(tmp_path / "sweep")) == {"1"}
    assert f"sweep: {tmp_path}/sweep: 1 failed" in done.stdout
    reason = (tmp_path / "sweep" / "0" / "failed.txt").read_text().strip()
    assert reason.startswith("scheme=self: the student (potstill_bilstm) has 1 layer")
    assert f"{tmp_path}/sweep/0: {reason}" in done.stdout.splitlines()
    assert (tmp_path / "sweep" / "0" / "output.txt").exists() == bool(launcher)


def test_jobs_of_two_processes_each(sweep, tmp_path):
    done = sweep("student=bilstm", "kd=response,hidden_states", "trainer.devices=2", "trainer.strategy=ddp")
    assert done.returncode == 0, done.stderr
    found = reports(tmp_path / "sweep")
    assert set(found) == {"0", "1"}
    assert [report["updates"] for report in found.values()] == [8, 8]


def test_jobs_beside_each_other_pay_for_teacher_and_store_once(sweep, pretrained, tmp_path):
    shared = [f"cache_dir={tmp_path}/cache", f"store.folder={tmp_path}/store"]
    done = sweep("student=bilstm", "seed=1,2", "launcher=joblib", f"teacher.path={pretrained}", *shared)
    assert done.returncode == 0, done.stderr
    found = reports(tmp_path / "sweep")
    assert sorted(report["teacher_seconds"] > 0 for report in found.values()) == [False, True]
    assert found["0"]["teacher"]["score"] == found["1"]["teacher"]["score"]


def test_a_job_has_the_weights_of_the_same_run_alone(sweep, configure, tmp_path):
    assert sweep("student=bilstm", "seed=3").returncode == 0
    config = configure("student=bilstm", "seed=3", "baseline=false", "logger=[]", f"run_dir={tmp_path}/alone")
    train.run(config, [])
    weights = "student/model.safetensors"
    assert (tmp_path / "alone" / weights).read_bytes() == (tmp_path / "sweep" / "0" / weights).read_bytes()


def test_what_is_missing_or_failed_runs_again_and_nothing_else(sweep, tmp_path):
    asked = ["student=bilstm", "scheme=annealing,offline"]  # the first in two stages
    assert sweep(*asked).returncode == 0
    folder = tmp_path / "sweep"
    before = reports(folder)
    assert len(before) == 2
    times = {name: (folder / name / "report.json").stat().st_mtime_ns for name in before}
    (folder / "1" / "report.json").unlink()
    (folder / "1" / "failed.txt").write_text("struck by lightning\n")
    again = sweep(*asked)
    assert again.returncode == 0, again.stderr
    assert "all runs are done" in again.stdout
    assert not (folder / "1" / "failed.txt").exists()
    after = {name: (folder / name / "report.json").stat().st_mtime_ns for name in before}
    assert [name for name in before if after[name] != times[name]] == ["1"]
    other = sweep("student=cnn_lstm", "seed=1")
    assert other.returncode == 1
    assert "holds another run" in other.stderr
    assert f"sweep: {folder}: 1 failed" in other.stdout
    assert reports(folder).keys() == before.keys()


def test_recipes_are_runs_of_their_own(sweep, tmp_path):
    done = sweep("experiment=recipes", "+experiment@_global_=izsak_cnn_lstm,teacher_free", "student=bilstm")
    assert done.returncode == 1
    assert "words in the train split" in (tmp_path / "sweep" / "0" / "failed.txt").read_text()
    (report,) = reports(tmp_path / "sweep").values()
    assert report["overrides"][0] == "experiment=teacher_free"
    assert "experiment: teacher_free\n" in (tmp_path / "sweep" / "1" / "choices.yaml").read_text()
    assert "experiment=recipes" not in report["overrides"]


def test_a_job_that_is_killed_is_told(sweep, tmp_path, monkeypatch):
    """As by the system, where memory is short."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if any(part.startswith('resume=') and part.endswith('/0\\'') for part in sys.argv): os.kill(os.getpid(), 9)\n"
    )
    done = sweep("student=bilstm", "seed=1,2")
    assert done.returncode == 1
    assert (tmp_path / "sweep" / "0" / "failed.txt").read_text() == "ended by exit code -9\n"
    assert set(reports(tmp_path / "sweep")) == {"1"}


def test_a_job_finds_what_is_beside_where_it_was_started_whatever_its_folder_is_called(sweep, folder, tmp_path):
    odd = "it's (1), a=b"
    done = sweep("student=bilstm", "seed=1", folder=f'"{tmp_path}/{odd}"', at=folder, train="train.csv")
    assert done.returncode == 0, done.stderr + done.stdout
    assert set(reports(tmp_path / odd)) == {"0"}
