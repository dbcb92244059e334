"""One `Trainer.fit`: its checkpoints, its going on after an interruption, its precision."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from data.module import Batches
from kd import ranks
from kd.distiller import Distiller
from kd.rates import Rates

log = logging.getLogger(__name__)

SHORT_PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
LAST, BEST, DONE = "last.ckpt", "best.ckpt", "done.json"


@dataclass(frozen=True)
class Fitted:
    """What a fit took and gave.

    Args:
        seconds: those before an interruption included.
        updates: of the weights.
        score: the best one in validation, whose weights were kept; None where the fit was too short for one.
    """

    seconds: float
    updates: int
    score: float | None = None


class LastState(Callback):
    """Keeps the state from which an interrupted fit goes on: every so many updates, wherever in an epoch that is.

    Written beside the former state first, so that an interruption leaves that whole. Where the end of an epoch
    is the place, the state is that after validation.
    """

    def __init__(self, path: Path, every_n_steps: int):
        self.path, self.every_n_steps = path, every_n_steps
        self._kept = 0

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._kept = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_: Any) -> None:
        if self._is_due(trainer) and not self._epoch_is_over(trainer):
            self._save(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if self._is_due(trainer) and self._epoch_is_over(trainer):
            self._save(trainer)

    def _is_due(self, trainer: pl.Trainer) -> bool:
        """Once an update of that number is made; not again before the next, so never amid an accumulation."""
        return trainer.global_step != self._kept and trainer.global_step % self.every_n_steps == 0

    def _epoch_is_over(self, trainer: pl.Trainer) -> bool:
        return trainer.fit_loop.epoch_loop.batch_progress.current.ready >= trainer.num_training_batches

    def _save(self, trainer: pl.Trainer) -> None:
        self._kept = trainer.global_step
        beside = self.path.with_suffix(".unfinished")
        trainer.save_checkpoint(beside)
        if ranks.is_first():
            beside.replace(self.path)


def resolve_precision(precision: str | int, accelerator: str) -> str:
    """What `auto` stands for: `bf16-mixed` on GPUs that have it, `16-mixed` on older ones, else `32-true`.

    Lightning's short names are written out: 16 is `16-mixed`, 32 is `32-true`.
    """
    precision = str(precision)
    if precision != "auto":
        return SHORT_PRECISIONS.get(precision, precision)
    if accelerator == "cpu" or not torch.cuda.is_available():
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def fit(
    distiller: Distiller,
    batches: Batches,
    folder: Path,
    make_trainer: Callable[..., pl.Trainer],
    checkpoint_every_n_steps: int,
    loggers: list[Any],
    callbacks: Sequence[Callback] = (),
) -> Fitted:
    """Train, and leave the distiller with the weights that did best in validation.

    A fit that has ended before is not repeated, and one that was interrupted goes on: on a CPU to the
    very weights that it would have had without interruption.

    Args:
        folder: for its checkpoints.
        make_trainer: Lightning's Trainer with the settings of the run and the length of this fit.
        checkpoint_every_n_steps: how often the state is kept inside an epoch.
        loggers: where losses and scores go.
        callbacks: what else happens on the way.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DONE).exists():
        distiller.dry_run(batches.longest())
        trainer = make_trainer(  # the batches part themselves among ranks, and every rank validates on all rows
            callbacks=[*callbacks, *_callbacks(distiller.monitor, folder, checkpoint_every_n_steps, bool(loggers))],
            logger=loggers,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        start = folder / LAST if (folder / LAST).exists() else None
        if start:
            log.info("going on from %s", start)
        trainer.fit(distiller, batches, ckpt_path=start, weights_only=False)
        best: Any = trainer.checkpoint_callback
        score = None if best.best_model_score is None else best.best_model_score.item()
        _finish(trainer, folder, Fitted(distiller.seconds, trainer.global_step, score))
    state = torch.load(folder / BEST, map_location="cpu", weights_only=False)["state_dict"]
    distiller.load_state_dict(state)
    return Fitted(**json.loads((folder / DONE).read_text()))


def _callbacks(monitor: str, folder: Path, every_n_steps: int, logs: bool) -> list[Callback]:
    best = ModelCheckpoint(
        folder,
        Path(BEST).stem,
        monitor,
        mode="max",
        save_weights_only=True,
        enable_version_counter=False,
        save_on_train_epoch_end=False,  # right after validation, so that the last state knows of it
    )
    return [best, LastState(folder / LAST, every_n_steps), *([Rates()] if logs else [])]


def _finish(trainer: pl.Trainer, folder: Path, fitted: Fitted) -> None:
    if not (folder / BEST).exists():  # too short for a validation
        trainer.save_checkpoint(folder / BEST, weights_only=True)
    if ranks.is_first():
        unfinished = folder / f"{DONE}.unfinished"
        unfinished.write_text(json.dumps(asdict(fitted)))
        unfinished.replace(folder / DONE)
        (folder / LAST).unlink(missing_ok=True)
    ranks.wait_for_all()
