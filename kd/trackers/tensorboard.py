"""TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.image import imread
from pytorch_lightning.loggers import TensorBoardLogger

from kd.trackers.masking import masked


class TensorBoard(TensorBoardLogger):
    """Shows the report as text and picture, and its figures beside the config under HPARAMS.

    Args: see `pytorch_lightning.loggers.TensorBoardLogger`.
    """

    def conclude(self, figures: Mapping[str, float], folder: Path) -> None:
        self.log_hyperparams(self.hparams, dict(figures))
        self.experiment.add_image("report/picture", imread(folder / "report.png"), dataformats="HWC")
        self.experiment.add_text("report", masked((folder / "report.md").read_text(encoding="utf-8")))

    def finish(self, failed: bool = False) -> None:
        self.finalize("failed" if failed else "success")
