"""What a fit says of itself: a bar in a terminal, and a line for each validation."""

import logging
import time
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from tqdm import tqdm

from kd import ranks
from kd.distiller import Distiller

log = logging.getLogger(__name__)

SILENCE = 60.0  # seconds without a line, where there is no bar


class Progress(Callback):
    """Tells where a fit is, in the first process.

    Args:
        phase: what the fit is for.
        bar: show a bar on standard error, with updates a second and the time that remains; else a line a minute.
    """

    def __init__(self, phase: str, bar: bool):
        self.phase, self.bar = phase, bar
        self._shown: tqdm | None = None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._first, self._updates = trainer.global_step, int(trainer.estimated_stepping_batches)
        self._started = self._spoke = time.monotonic()
        if self.bar and ranks.is_first():
            self._shown = tqdm(
                desc=self.phase,
                total=self._updates,
                initial=self._first,
                unit="step",
                leave=False,
                dynamic_ncols=True,
            )

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if self._shown:
            self._shown.update(trainer.global_step - self._shown.n)
        elif time.monotonic() - self._spoke >= SILENCE:
            self._say(f"{self._place(trainer)}  {self._rate(trainer.global_step)}")

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Distiller)
        figures, checkpoint = trainer.callback_metrics, trainer.checkpoint_callback
        score, best = figures[module.monitor], getattr(checkpoint, "best_model_score", None)  # of those before
        parts = [self._place(trainer), f"val/{module.task.metric} {score:.3f}"]
        parts[-1] += " (best)" if best is None or score > best else ""
        if (loss := figures.get(f"{module.prefix}train/loss")) is not None:
            parts.append(f"loss {loss:.3f}")
        self._say("  ".join([*parts, f"{time.monotonic() - self._started:.0f} s"]))

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._close()

    def _close(self) -> None:
        if self._shown:
            self._shown.close()

    def _place(self, trainer: pl.Trainer) -> str:
        epochs = trainer.max_epochs or 0
        epoch = f"  epoch {trainer.current_epoch + 1}/{epochs}" if epochs > 0 else ""
        return f"{self.phase}{epoch}  step {trainer.global_step}/{self._updates}"

    def _rate(self, step: int) -> str:
        rate = (step - self._first) / (time.monotonic() - self._started)
        left = f"  about {(self._updates - step) / rate:.0f} s left" if rate else ""
        return f"{rate:.1f} steps/s{left}"

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        if ranks.is_first():
            with tqdm.external_write_mode():  # a bar makes room for it
                log.info(line)
