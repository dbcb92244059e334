import csv
import os

import pytest

from kd.trackers.csv import CSV


def test_rows_stay_where_there_is_no_room_for_a_new_column(tmp_path, monkeypatch):
    logger = CSV(tmp_path, "", "")
    logger.log_metrics({"early": 1.0}, 0)
    logger.save()
    before = (tmp_path / "metrics.csv").read_text()
    logger.log_metrics({"late": 2.0}, 1)
    with monkeypatch.context() as patch:
        patch.setattr(csv.DictWriter, "writeheader", lambda _: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space left"):
            logger.save()
    assert (tmp_path / "metrics.csv").read_text() == before


def test_names_that_come_late_get_a_column(tmp_path):
    logger = CSV(tmp_path, "", "")
    for step, name in enumerate(["early", "late"]):
        logger.log_metrics({name: 2.0}, step)
        logger.save()
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [(row["early"], row["late"]) for row in rows] == [("2.0", ""), ("", "2.0")]
    assert os.listdir(tmp_path) == ["metrics.csv"]
