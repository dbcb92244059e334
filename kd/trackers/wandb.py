"""Weights & Biases."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import WandbLogger


class Wandb(WandbLogger):
    """Puts the report into the run's summary and its picture beside it.

    Args: see `pytorch_lightning.loggers.WandbLogger` and `wandb.init`.
    """

    def __init__(self, **options: Any):
        super().__init__(**options)
        self._wandb_init.pop("anonymous", None)  # W&B warns of it, whatever its value

    def conclude(self, figures: Mapping[str, float], folder: Path) -> None:
        self.experiment.summary.update(dict(figures))
        self.log_image("report/picture", [str(folder / "report.png")])

    def finish(self, failed: bool = False) -> None:
        if self._experiment is not None:
            self._experiment.finish(exit_code=int(failed))
