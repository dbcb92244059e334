import json
from pathlib import Path

import train


def test_a_run_that_is_gone_on_with_has_the_report_its_picture_and_the_config(configure, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # which it reads when it is imported
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
    assert list((tmp_path / "trackio").rglob("*.png"))
