import csv
import logging

import pytest
from pytorch_lightning.loggers import CSVLogger

from kd.trackers import Guarded


class Broken(CSVLogger):
    def log_metrics(self, metrics, step=None):
        raise OSError("no space left")


def test_a_working_logger_gets_everything(tmp_path):
    logger = Guarded("csv", lambda: CSVLogger(tmp_path, "", ""))
    logger.log_metrics({"loss": 2.0}, 3)
    logger.save()
    (row,) = csv.DictReader((tmp_path / "metrics.csv").open())
    assert (row["loss"], row["step"]) == ("2.0", "3")


def test_a_failing_logger_is_told_of_once_and_left_alone(tmp_path, caplog):
    logger = Guarded("csv", lambda: Broken(tmp_path, "", ""))
    with caplog.at_level(logging.WARNING):
        for step in range(3):
            logger.log_metrics({"loss": 2.0}, step)
        logger.finalize("success")
    assert [record.getMessage() for record in caplog.records] == [
        "logger csv failed and is switched off: no space left"
    ]


def test_a_logger_that_cannot_even_start_stops_nothing(caplog):
    def fail():
        raise ModuleNotFoundError("No module named 'tracker'")

    logger = Guarded("tracker", fail)
    logger.log_metrics({"loss": 1.0})
    logger.finish()
    assert "logger tracker failed" in caplog.text


def test_a_trackers_run_is_finished():
    class Run:
        finished = 0

        def finish(self):
            self.finished += 1

    class Tracker(CSVLogger):
        experiment = Run()

        def __init__(self):
            pass

    logger = Guarded("tracker", Tracker)
    logger.finish()
    assert Tracker.experiment.finished == 1


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_other_trackers_run_offline(name, configure, tmp_path, monkeypatch):
    from hydra.utils import instantiate

    monkeypatch.setenv("WANDB_MODE", "offline")
    config = configure(f"logger={name}", f"run_dir={tmp_path}")
    logger = Guarded(name, lambda: instantiate(config.logger[name]))
    logger.log_hyperparams({"seed": 1})
    logger.log_metrics({"train/loss": 2.0}, 1)
    logger.save()
    logger.finish()
    assert logger._logger is not None
    assert list(tmp_path.rglob("*tfevents*" if name == "tensorboard" else "*.wandb"))
