"""MLflow."""

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.logger import _flatten_dict
from pytorch_lightning.loggers import MLFlowLogger

from kd.trackers.masking import masked

TEXTS, PICTURE = ("report.json", "report.md"), "report.png"
NOT_IN_NAMES = re.compile(r"[^\w/. -]", re.ASCII)
SECONDS = 10.0
DEFAULTS = {  # its own have training wait minutes for a server that is down, and tell of each new table
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


class MLflow(MLFlowLogger):
    """Keeps one run for all fits of a run, with the config, and the report's figures and files.

    Figures are gathered for ten seconds before they are written: a transaction takes as long as several steps of a
    small student, whether it is of one row or of many.

    Args: see `pytorch_lightning.loggers.MLFlowLogger`; tags without a value are left out.
    """

    def __init__(self, tags: Mapping[str, Any], **options: Any):
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        super().__init__(tags={name: value for name, value in tags.items() if value is not None}, **options)
        self._config: dict[str, Any] = {}
        self._gathered: list[Any] = []
        self._written, self._gone = time.monotonic(), False

    def log_hyperparams(self, params: Any) -> None:
        """Parameters cannot change in MLflow: a run that is gone on with keeps those it has."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH

        known = self.experiment.get_run(self.run_id).data.params
        values = {_clean(key): str(value)[:MAX_PARAM_VAL_LENGTH] for key, value in _flatten_dict(params).items()}
        new = [Param(key, value) for key, value in values.items() if key not in known]
        self.experiment.log_batch(self.run_id, params=new)
        self._config |= params
        self.experiment.log_dict(self.run_id, self._config, "config.yaml")

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._gathered += [Metric(_clean(name), value, now, step or 0) for name, value in metrics.items()]
        if time.monotonic() - self._written > SECONDS:
            self._write()

    def finalize(self, status: str = "success") -> None:
        """A run has several fits: the end of one is not its end."""
        self._write()
        if self._checkpoint_callback:  # with log_model=true
            self._scan_and_log_checkpoints(self._checkpoint_callback)
            self._checkpoint_callback = None

    def conclude(self, figures: Mapping[str, float], folder: Path) -> None:
        self.log_metrics(figures)
        self._write()
        for name in TEXTS:
            self.experiment.log_text(self.run_id, masked((folder / name).read_text(encoding="utf-8")), name)
        self.experiment.log_artifact(self.run_id, str(folder / PICTURE))

    def finish(self, failed: bool = False) -> None:
        if not self._gone:  # it would be waited for again
            super().finalize("failed" if failed else "success")

    def _write(self) -> None:
        gathered, self._gathered, self._written = self._gathered, [], time.monotonic()
        try:
            self.experiment.log_batch(self.run_id, metrics=gathered)
        except Exception as error:
            self._gone = isinstance(error.__context__, OSError)  # as are those of a connection
            raise


def _clean(name: str) -> str:
    return NOT_IN_NAMES.sub("_", name)
