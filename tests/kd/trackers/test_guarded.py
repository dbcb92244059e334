import csv
import logging

import pytest
from pytorch_lightning.loggers import CSVLogger

from kd.trackers.guarded import Guarded


class Tracker(CSVLogger):
    """One that fails at the third row."""

    finished = 0

    def log_metrics(self, metrics, step=None):
        if step == 2:
            raise OSError("no space left\non device")
        super().log_metrics(metrics, step)

    def finish(self, failed=False):
        self.finished += 1


def test_a_working_logger_gets_everything(tmp_path):
    logger = Guarded("csv", lambda: CSVLogger(tmp_path, "", ""))
    logger.log_metrics({"loss": 2.0}, 3)
    logger.save()
    logger.conclude({"report/score": 1.0}, tmp_path)  # which it cannot, and needs not
    logger.finish()
    (row,) = csv.DictReader((tmp_path / "metrics.csv").open())
    assert (row["loss"], row["step"]) == ("2.0", "3")
    assert logger.run is None


def test_names_that_come_late_get_a_column(tmp_path):
    logger = Guarded("csv", lambda: CSVLogger(tmp_path, "", ""))
    for step, name in enumerate(["early", "late"]):
        logger.log_metrics({name: 2.0}, step)
        logger.save()
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [(row["early"], row["late"]) for row in rows] == [("2.0", ""), ("", "2.0")]


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
    assert tracker.finished == 1


def test_a_logger_that_cannot_even_start_stops_nothing(caplog):
    def fail():
        raise ModuleNotFoundError("No module named 'tracker'")

    logger = Guarded("tracker", fail)
    logger.log_metrics({"loss": 1.0})
    logger.finish()
    assert "logger tracker failed" in caplog.text


def test_an_interrupt_is_no_failure_of_the_logger(tmp_path):
    logger = Guarded("tracker", lambda: CSVLogger(tmp_path, "", ""))
    logger._logger.log_metrics = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        logger.log_metrics({"loss": 1.0})
