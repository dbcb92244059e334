import csv
import logging

import pytest
from hydra.utils import instantiate
from pytorch_lightning.loggers import CSVLogger

from kd.trackers.guarded import Guarded


class Tracker(CSVLogger):
    """One that fails at the third row."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.finished = []

    def log_metrics(self, metrics, step=None):
        if step == 2:
            raise OSError("no space left\non device")
        super().log_metrics(metrics, step)

    def finish(self, failed=False):
        self.finished.append(failed)


def test_a_working_logger_gets_everything(tmp_path):
    logger = Guarded("csv", lambda: CSVLogger(tmp_path, "", ""))
    logger.log_metrics({"loss": 2.0}, 3)
    logger.save()
    logger.conclude({"report/score": 1.0}, tmp_path)  # which it cannot, and needs not
    logger.finish()
    (row,) = csv.DictReader((tmp_path / "metrics.csv").open())
    assert (row["loss"], row["step"]) == ("2.0", "3")
    assert logger.run is None


def test_a_logger_that_fails_on_the_way_is_told_of_once_finished_and_left_alone(tmp_path, caplog):
    tracker = Tracker(tmp_path, "", "")
    logger = Guarded("tracker", lambda: tracker)
    with caplog.at_level(logging.WARNING):
        for step in range(5):
            logger.log_metrics({"loss": 2.0}, step)
        logger.finalize("success")
    assert [record.getMessage() for record in caplog.records] == [
        "logger tracker failed and is switched off: no space left"
    ]
    logger.finish()
    assert tracker.finished == [True]


def test_a_logger_that_cannot_even_start_stops_nothing(caplog):
    logger = Guarded("tracker", lambda: instantiate({"_target_": "shutil.copy", "src": "nowhere", "dst": "."}))
    logger.log_metrics({"loss": 1.0})
    logger.finish()
    assert "logger tracker failed and is switched off: [Errno 2] No such file or directory: 'nowhere'" in caplog.text


def test_a_logger_may_keep_checkpoints(tmp_path):
    tracker = Tracker(tmp_path, "", "")
    tracker.after_save_checkpoint = tracker.finished.append
    Guarded("tracker", lambda: tracker).after_save_checkpoint("checkpoint")
    assert tracker.finished == ["checkpoint"]


def test_an_interrupt_is_no_failure_of_the_logger(tmp_path):
    logger = Guarded("tracker", lambda: CSVLogger(tmp_path, "", ""))
    logger._logger.log_metrics = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        logger.log_metrics({"loss": 1.0})
