"""Figures by step in `metrics.csv`."""

import csv
import os
from typing import Any

from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter


class CSV(CSVLogger):
    """Keeps the rows that it has where there is no room for them with a new column.

    Args: see `pytorch_lightning.loggers.CSVLogger`.
    """

    @property
    def experiment(self) -> Any:
        if self._experiment is None:
            self._experiment = _Writer(self.log_dir)
        return self._experiment


class _Writer(ExperimentWriter):
    """Writes the file with another header beside it first; Lightning empties it before."""

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        beside = f"{self.metrics_file_path}.new"
        with open(self.metrics_file_path, newline="") as former, open(beside, "w", newline="") as new:
            writer = csv.DictWriter(new, fieldnames)
            writer.writeheader()
            writer.writerows(csv.DictReader(former))
        os.replace(beside, self.metrics_file_path)
