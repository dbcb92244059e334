"""MLflow."""

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.logger import _flatten_dict
from pytorch_lightning.loggers import MLFlowLogger

FILES = ("config.yaml", "report.json", "report.md", "report.png")
NOT_IN_NAMES = re.compile(r"[^\w/. -]", re.ASCII)
SECONDS, AT_ONCE = 10.0, 1000  # AT_ONCE: as many figures as MLflow takes in one call


class MLflow(MLFlowLogger):
    """Keeps one run for all fits of a run, with the report's figures and files.

    Figures are gathered for ten seconds before they are written: a transaction takes as long as several steps of a
    small student, whether it is of one row or of many.

    Args: see `pytorch_lightning.loggers.MLFlowLogger`; tags without a value are left out.
    """

    def __init__(self, tags: Mapping[str, Any], **options: Any):
        super().__init__(tags={name: value for name, value in tags.items() if value is not None}, **options)
        self._gathered: list[Any] = []
        self._written = time.monotonic()

    def log_hyperparams(self, params: Any) -> None:
        """Parameters cannot change in MLflow: a run that is gone on with keeps those it has."""
        known = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({key: value for key, value in _flatten_dict(params).items() if key not in known})

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for name, value in metrics.items():
            self._gathered.append(Metric(NOT_IN_NAMES.sub("", name), value, now, step or 0))
        if time.monotonic() - self._written > SECONDS:
            self._write()

    def finalize(self, status: str = "success") -> None:
        """A run has several fits: the end of one is not its end."""
        self._write()

    def conclude(self, figures: Mapping[str, float], folder: Path) -> None:
        self.log_metrics(figures)
        self._write()
        for name in FILES:
            self.experiment.log_artifact(self.run_id, str(folder / name))

    def finish(self, failed: bool = False) -> None:
        super().finalize("failed" if failed else "success")

    def _write(self) -> None:
        gathered, self._gathered, self._written = self._gathered, [], time.monotonic()
        for start in range(0, len(gathered), AT_ONCE):
            self.experiment.log_batch(self.run_id, metrics=gathered[start : start + AT_ONCE])
