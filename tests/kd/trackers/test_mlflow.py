import pytest

from kd.trackers import mlflow as tracker
from kd.trackers.guarded import Guarded
from kd.trackers.mlflow import MLflow

mlflow = pytest.importorskip("mlflow")


@pytest.fixture
def opened(tmp_path):
    """A run in a database of its own, and what that holds of it."""

    def opened(**options):
        logger = Guarded("mlflow", lambda: MLflow(tags={"group": None}, tracking_uri=address, **options))
        return logger, lambda: mlflow.MlflowClient(address).get_run(logger.run)

    address = f"sqlite:///{tmp_path}/mlflow.db"
    return opened


def test_figures_are_written_together(opened, monkeypatch):
    logger, run = opened()
    monkeypatch.setattr(tracker, "AT_ONCE", 2)
    for step in range(3):
        logger.log_metrics({"train/loss": 3.0 - step, "train/kd/kl/a<-b": 1.0}, step)
    assert run().data.metrics == {}
    logger.finalize("success")
    assert run().data.metrics == {"train/loss": 1.0, "train/kd/kl/a-b": 1.0}
    monkeypatch.setattr(tracker, "SECONDS", 0)
    logger.log_metrics({"train/loss": 0.5}, 3)
    assert run().data.metrics["train/loss"] == 0.5
    assert run().info.status == "RUNNING"
    assert "group" not in run().data.tags


def test_a_run_that_is_gone_on_with_keeps_its_parameters_and_takes_new_ones(opened):
    first, run = opened()
    first.log_hyperparams({"resume": None, "data": {"train": "x" * 400}})
    first.finish(failed=True)
    assert run().info.status == "FAILED"
    again, run = opened(run_id=first.run)
    again.log_hyperparams({"resume": "outputs/run", "lineage": {"teacher": "a"}})
    assert (run().data.params["resume"], run().data.params["lineage/teacher"]) == ("None", "a")
    again.finish()
    assert (again.run, run().info.status) == (first.run, "FINISHED")
