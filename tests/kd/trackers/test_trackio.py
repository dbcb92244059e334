import json
from pathlib import Path

import pytest

import train
from kd.trackers.trackio import Trackio


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory):
    """The folder that it keeps all in."""
    place = tmp_path_factory.mktemp("trackio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRACKIO_DIR", str(place))  # which it reads when it is imported
        yield place


def test_a_run_that_is_gone_on_with_has_the_report_its_picture_and_the_config(configure, place):
    import trackio

    config = configure("student=bilstm", "baseline=false", "trainer.max_epochs=1", "logger=trackio")
    train.run(config, [])
    config.resume = config.run_dir
    train.run(config, [])
    (run,) = trackio.Api().runs("potstill")
    assert run.name == Path(config.run_dir).name
    assert run.config["lineage"]["teacher"]["fingerprint"]
    rows = trackio.sqlite_storage.SQLiteStorage.get_logs("potstill", run.name)
    found = {name: row[name] for row in rows for name in row}
    score = json.loads((Path(config.run_dir) / "report.json").read_text())["student"]["score"]
    assert found["report/student/score"] == score
    assert "val/accuracy" in found
    assert list(place.rglob("*.png"))


def test_runs_of_one_name_are_two(capsys):
    import trackio

    names = []
    for run in (None, None, "name-2"):
        logger = Trackio("names", "name", run=run)
        names.append(logger.version)
        logger.log_metrics({"loss": 1.0}, len(names))
        logger.finish()
    assert names == ["name", "name-2", "name-2"]
    assert {run.name for run in trackio.Api().runs("names")} == {"name", "name-2"}
    assert len(trackio.sqlite_storage.SQLiteStorage.get_logs("names", "name-2")) == 2
    assert capsys.readouterr().out == ""
