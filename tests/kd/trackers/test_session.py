"""Real runs, as the trackers show them."""

import csv
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from pytorch_lightning.loggers import CSVLogger

import train
from kd.trackers.lineage import lineage
from kd.trackers.session import opened

ALL = "logger=[csv,wandb,tensorboard,mlflow]"
SCHEDULE = "{_target_: kd.schedule.Linear, start: 0.1, end: 1, by: step}"
SMALL = ["student=bilstm", "baseline=false", "trainer.log_every_n_steps=3", "trainer.max_epochs=1"]
PREFIXES = ("train/", "val/", "teacher/", "baseline/")


class Records:
    """What an offline run of Weights & Biases wrote, record by record, once its process has written the last one."""

    def __init__(self, run_dir: Path):
        self.found = []
        for path in sorted(run_dir.glob("wandb/offline-run-*/*.wandb")):
            deadline = time.monotonic() + 30
            while not (records := self._parsed(path)) or records[-1].WhichOneof("record_type") != "exit":
                assert time.monotonic() < deadline, f"{path} has no end"
                time.sleep(0.1)
            self.found += records

    def _parsed(self, path: Path) -> list:
        from wandb.proto import wandb_internal_pb2

        return [wandb_internal_pb2.Record.FromString(content) for content in self._read(path.read_bytes())]

    @staticmethod
    def _read(content: bytes):
        """The records of LevelDB's log format: blocks of 32 kB, a header of 7 bytes before each part of a record."""
        place, parts = 7, []
        while place + 7 <= len(content):
            if (room := 32768 - place % 32768) < 7:
                place += room
                continue
            _, length, kind = struct.unpack("<IHB", content[place : place + 7])
            if place + 7 + length > len(content):
                return  # it is being written
            parts.append(content[place + 7 : place + 7 + length])
            place += 7 + length
            if kind in (1, 4):  # whole, or the last part
                yield b"".join(parts)
                parts = []

    def of(self, kind: str) -> list:
        return [getattr(record, kind) for record in self.found if record.WhichOneof("record_type") == kind]

    def history(self) -> set[str]:
        return {item.key or item.nested_key[0] for row in self.of("history") for item in row.item}

    def updates(self, kind: str) -> dict:
        items = [item for each in self.of(kind) for item in each.update]
        return {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}


def mlflow_runs(database: Path) -> list:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{database}")
    (experiment,) = [each for each in client.search_experiments() if each.name == "potstill"]
    return client.search_runs([experiment.experiment_id])


def csv_names(run_dir: Path) -> set[str]:
    return {name for path in run_dir.glob("metrics*.csv") for name in next(csv.reader(path.open()))}


def losses(names) -> set[str]:
    return {name for name in names if name.startswith(PREFIXES)}


def tracked_in(place: Path) -> list[str]:
    """The overrides that lead into a folder: offline, with a database for MLflow."""
    return [f"logger.mlflow.tracking_uri=sqlite:///{place}/mlflow.db", "logger.wandb.offline=true"]


def command_line(place: Path, *arguments: str) -> str:
    """Run it as a process in a pipe; gives its error output."""
    command = [sys.executable, train.__file__, *arguments]
    own = os.environ | {"TRACKIO_DIR": f"{place}/trackio"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place, env=own)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", done.stdout)
    return done.stderr


@pytest.fixture(scope="module")
def staged(small, pretrained, tmp_path_factory):
    """A run of two stages with a schedule that moves and a teacher that it fine-tunes, in every tracker; its folder."""
    pytest.importorskip("mlflow")
    pytest.importorskip("tensorboard")
    place = tmp_path_factory.mktemp("trackers")
    teacher = [f"teacher.path={pretrained}", "teacher.fine_tuning.epochs=1", f"cache_dir={place}/cache"]
    stages = ["+stages.first=[]", f"+stages.second=['kd.terms.response.weight={SCHEDULE}']"]
    more = [*teacher, *stages, *tracked_in(place), f"hydra.run.dir={place}/staged"]
    said = command_line(place, *small, *SMALL, ALL.replace("]", ",trackio]"), "+logger.mlflow.log_model=true", *more)
    assert said.count(f"wandb sync {place}/staged") == 2
    assert not re.search("anonymous|alembic|mlflow|urllib3", said)
    return place / "staged"


def test_every_tracker_has_the_same(staged):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    runs = {run.info.run_name: run for run in mlflow_runs(staged.parent / "mlflow.db")}
    assert set(runs) == {"staged", "staged/first"}
    for name, folder in {"staged": staged, "staged/first": staged / "stages" / "first"}.items():
        names, wandb, run = losses(csv_names(folder)), Records(folder), runs[name]
        board = EventAccumulator(str(folder / "tensorboard"))
        board.Reload()
        assert "train/kd/response/student<-teacher" in names
        assert ("train/weight/response" in names) == (name == "staged")
        assert losses(wandb.history()) == names == losses(board.Tags()["scalars"])
        assert losses(run.data.metrics) == {each.replace("<", "_") for each in names}
        report = json.loads((folder / "report.json").read_text())
        figures = {key for key in run.data.metrics if key.startswith("report/")}
        assert run.data.metrics["report/student/score"] == pytest.approx(report["student"]["score"])
        assert figures == {key for key in board.Tags()["scalars"] if key.startswith("report/")}
        assert figures == {key for key in wandb.updates("summary") if key.startswith("report/")} - {"report/picture"}
        assert board.Tags()["images"] == ["report/picture"]
        assert list(folder.glob("wandb/*/files/media/images/report/picture*.png"))
        assert (
            staged.parent / "mlruns" / run.info.experiment_id / run.info.run_id / "artifacts" / "report.png"
        ).is_file()
        checkpoints = staged.parent / "mlruns" / run.info.experiment_id / run.info.run_id / "artifacts" / "best"
        assert (checkpoints / "best.ckpt").is_file()
        config, stage = OmegaConf.load(folder / "config.yaml"), "first" if name != "staged" else "second"
        assert wandb.updates("config")["data"]["batch_size"] == config.data.batch_size
        assert wandb.updates("config")["stage"] == stage == run.data.params["stage"]
        assert run.data.params["student/learning_rate"] == str(config.student.learning_rate)
        assert wandb.of("run")[0].run_group == "staged" == run.data.tags["group"]
        assert (run.info.status, wandb.of("exit")[0].exit_code) == ("FINISHED", 0)


def test_a_student_is_linked_to_its_teachers_run(staged, pretrained):
    """The first stage fine-tuned the teacher, the second found it."""
    first, second = (Records(folder) for folder in (staged / "stages" / "first", staged))
    (maker,) = {record.run_id for record in first.of("run")}
    for records in (first, second):
        found = records.updates("config")["lineage"]["teacher"]
        assert (found["run"], found["wandb"]) == (str(staged / "stages" / "first"), maker)
        assert Path(found["weights"]).parent == staged.parent / "cache" / "teachers"
        assert len(found["fingerprint"]) == 16
    saved = lineage({}, str(staged / "student"))["start_from"]
    assert saved == {
        "weights": str(staged / "student"),
        "run": str(staged),
        **json.loads((staged / "trackers.json").read_text()),
    }
    assert lineage({}, str(pretrained))["start_from"] == {"weights": str(pretrained)}


def test_a_run_that_is_gone_on_with_is_one_run(configure, tmp_path, monkeypatch):
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    config = configure(*SMALL, ALL, *tracked_in(tmp_path), f"run_dir={tmp_path / 'run'}")
    with monkeypatch.context() as patch:
        patch.setattr("kd.assembly.Assembly.distil", lambda *_: (_ for _ in ()).throw(RuntimeError("stopped")))
        with pytest.raises(RuntimeError, match="stopped"):
            train.run(config, [])
    (stopped,) = mlflow_runs(tmp_path / "mlflow.db")
    assert stopped.info.status == "FAILED"
    assert Records(tmp_path / "run").of("exit")[-1].exit_code == 1
    config.resume = config.run_dir
    train.run(config, [])
    (run,) = mlflow_runs(tmp_path / "mlflow.db")
    records = Records(tmp_path / "run")
    assert run.info.status == "FINISHED"
    assert "train/loss" in run.data.metrics
    assert Counter(record.run_id for record in records.of("run"))[records.of("run")[0].run_id] == 2
    assert records.of("exit")[-1].exit_code == 0


def test_a_tracker_that_fails_on_the_way_leaves_the_others_alone(configure, tmp_path, monkeypatch, caplog):
    fails = CSVLogger.log_metrics

    def fail(self, metrics, step=None):
        if "val/accuracy" in metrics:
            raise OSError("no space left")
        fails(self, metrics, step)

    monkeypatch.setattr(CSVLogger, "log_metrics", fail)
    config = configure(*SMALL, "logger=[csv,wandb]", "logger.wandb.offline=true", f"run_dir={tmp_path / 'run'}")
    assert train.run(config, []) is not None
    assert caplog.text.count("logger csv failed and is switched off: no space left") == 1
    assert "val/accuracy" in Records(tmp_path / "run").history()


@pytest.mark.slow
def test_each_job_of_a_sweep_is_a_run_in_its_group(small, tmp_path):
    pytest.importorskip("mlflow")
    sweep = ["-m", "seed=1,2", f"hydra.sweep.dir={tmp_path}/seeds"]
    command_line(tmp_path, *sweep, *small, *SMALL, "logger=[wandb,mlflow]", *tracked_in(tmp_path))
    runs = {run.info.run_name: run.data.tags["group"] for run in mlflow_runs(tmp_path / "mlflow.db")}
    assert runs == {"seeds/0": "seeds", "seeds/1": "seeds"}
    found = [Records(tmp_path / "seeds" / str(number)).of("run")[0] for number in range(2)]
    assert [(run.display_name, run.run_group) for run in found] == [("seeds/0", "seeds"), ("seeds/1", "seeds")]
    assert len({run.run_id for run in found}) == 2


def test_weights_and_biases_has_its_settings(configure, tmp_path, monkeypatch):
    config = configure(*SMALL, "logger=wandb", "logger.wandb.offline=true", "logger.wandb.tags=[a,b]")
    with opened(config) as (logger,):
        run = logger._logger.experiment
        settings = run.settings
        assert (run.tags, settings.finish_timeout, settings.login_timeout) == (("a", "b"), 300, 60)
        assert settings.init_timeout == 30


def test_each_logger_is_finished_whatever_the_others_do(configure, tmp_path):
    config = configure("logger=[csv,tensorboard]", f"run_dir={tmp_path / 'run'}")
    finished = []

    def stopped(name, failed):
        finished.append((name, failed))
        raise KeyboardInterrupt

    def interrupted():
        with opened(config) as loggers:
            for logger in loggers:
                logger._logger.finish = partial(stopped, logger.name)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [name for name, _ in finished] == ["tensorboard", "csv"]
    assert finished[0] == ("tensorboard", False)


def test_passwords_stay_in_the_run_folder(configure, tmp_path):
    address = "'http://me:secret@localhost'"
    config = configure("logger=csv", f"+logger.csv.prefix={address}", f"run_dir={tmp_path / 'run'}")
    with opened(config) as (logger,):
        logger.save()
    text = (tmp_path / "run" / "hparams.yaml").read_text()
    assert "http://me:***@localhost" in text
    assert "secret" not in text
