"""MLflow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.logger import _flatten_dict
from pytorch_lightning.loggers import MLFlowLogger

FILES = ("config.yaml", "report.json", "report.md", "report.png")


class MLflow(MLFlowLogger):
    """Keeps one run for all fits of a run, with the report's figures and files.

    Args: see `pytorch_lightning.loggers.MLFlowLogger`; tags without a value are left out.
    """

    def __init__(self, tags: Mapping[str, Any], **options: Any):
        super().__init__(tags={name: value for name, value in tags.items() if value is not None}, **options)

    def log_hyperparams(self, params: Any) -> None:
        """Parameters cannot change in MLflow: a run that is gone on with keeps those it has."""
        known = self.experiment.get_run(self.run_id).data.params
        super().log_hyperparams({key: value for key, value in _flatten_dict(params).items() if key not in known})

    def finalize(self, status: str = "success") -> None:
        """A run has several fits: the end of one is not its end."""

    def conclude(self, figures: Mapping[str, float], folder: Path) -> None:
        self.log_metrics(figures)
        for name in FILES:
            self.experiment.log_artifact(self.run_id, str(folder / name))

    def finish(self, failed: bool = False) -> None:
        super().finalize("failed" if failed else "success")
