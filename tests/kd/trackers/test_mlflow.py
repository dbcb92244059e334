import socket
import threading
import time

import pytest

from kd.trackers import mlflow as tracker
from kd.trackers.guarded import Guarded
from kd.trackers.mlflow import MLflow

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """A run in a database, and what that holds of it."""

    def opened(**options):
        logger = Guarded("mlflow", lambda: MLflow(tags={"group": None}, tracking_uri=address, **options))
        return logger, lambda: mlflow.MlflowClient(address).get_run(logger.run)

    address = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    return opened


def test_figures_are_written_together(opened, monkeypatch):
    logger, run = opened()
    for step in range(3):
        logger.log_metrics({"train/loss": 3.0 - step, "train/kd/kl/a<-b": 1.0}, step)
    assert run().data.metrics == {}
    logger.finalize("success")
    assert run().data.metrics == {"train/loss": 1.0, "train/kd/kl/a_-b": 1.0}
    monkeypatch.setattr(tracker, "SECONDS", 0)
    logger.log_metrics({"train/loss": 0.5}, 3)
    assert run().data.metrics["train/loss"] == 0.5
    assert run().info.status == "RUNNING"
    assert "group" not in run().data.tags


def test_a_run_that_is_gone_on_with_keeps_its_parameters_and_takes_new_ones(opened):
    first, run = opened()
    first.log_hyperparams({"resume": None, "data": {"train": "x" * 400, "a<b": 1}})
    first.finish(failed=True)
    assert run().info.status == "FAILED"
    assert run().data.params == {"resume": "None", "data/train": "x" * 400, "data/a_b": "1"}
    again, run = opened(run_id=first.run)
    again.log_hyperparams({"resume": "outputs/run", "lineage": {"teacher": "a"}})
    assert (run().data.params["resume"], run().data.params["lineage/teacher"]) == ("None", "a")
    again.finish()
    assert (again.run, run().info.status) == (first.run, "FINISHED")


@pytest.fixture
def gone():
    """A server that answers nothing and hangs up at once: its address, and how often it was asked."""
    asked = []

    def hang_up():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            asked.append(1)
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=hang_up, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked
        server.shutdown(socket.SHUT_RDWR)


def test_a_server_that_is_down_is_waited_for_shortly(gone, caplog):
    address, asked = gone
    begun = time.monotonic()
    logger = Guarded("mlflow", lambda: MLflow(tags={}, tracking_uri=address))
    logger.log_hyperparams({"seed": 1})
    assert time.monotonic() - begun < 20
    assert "logger mlflow failed and is switched off" in caplog.text
    assert len(asked) == 2


def test_a_server_that_goes_down_is_not_waited_for_again_at_the_end(opened, gone, caplog):
    address, asked = gone
    logger, _ = opened()
    logger.log_metrics({"train/loss": 1.0})
    logger._logger._mlflow_client = mlflow.MlflowClient(address)
    logger.finalize("success")
    assert "logger mlflow failed and is switched off" in caplog.text
    assert len(asked) == 2


def test_what_breaks_for_another_reason_has_failed(opened):
    logger, _ = opened()
    run, client = logger.run, logger._logger.experiment
    logger.log_metrics({"train/loss": "none"})
    logger.conclude({}, None)
    assert client.get_run(run).info.status == "FAILED"


def test_files_of_the_run_stand_beside_it_without_passwords(opened, tmp_path):
    logger, _ = opened(experiment_name="files", artifact_location=str(tmp_path / "files"))
    logger.log_hyperparams({"seed": 1})
    logger.log_hyperparams({"lineage": {"teacher": "a"}})
    for name in ("report.json", "report.md", "report.png"):
        (tmp_path / name).write_text("logger.mlflow.tracking_uri=https://me:secret@host")
    logger.conclude({}, tmp_path)
    texts = {path.name: path.read_text() for path in tmp_path.glob("files/*/artifacts/*")}
    assert texts["config.yaml"].split() == ["lineage:", "teacher:", "a", "seed:", "1"]
    assert texts["report.json"] == texts["report.md"] == "logger.mlflow.tracking_uri=https://me:***@host"
    assert "report.png" in texts
