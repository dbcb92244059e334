"""Potstill's own command line.

Modes: `store`: the teacher is asked once, its outputs are stored; `live`: it is asked in every step;
`labels`: plain training of the student.
"""

import json
import sys
from collections.abc import Callable
from contextlib import nullcontext
from csv import DictReader
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from transformers import AutoModelForSequenceClassification

import deploy.evaluate
import train
from bench.sides.task import Clock, Options, Result, Work, evaluate, quiet
from kd.distiller import Distiller
from kd.moment import Moment

KNOWLEDGE = {
    "store": ["store=disk"],
    "live": ["store=off"],
    "labels": ["kd=none"],
}


def main() -> None:
    """Do the work once."""
    quiet()
    options = Options.read(tuple(KNOWLEDGE))
    work, clock = Work(options), Clock()
    start = evaluate(work.student(), work)
    losses = watch_losses()
    watch_checkpoints(clock)
    deploy.evaluate.REPEATS.update(dict.fromkeys(deploy.evaluate.REPEATS, 1))  # the report's latencies are not read
    sys.argv = ["train.py", *overrides(work)]
    if train.command_line():
        raise SystemExit(1)
    run = options.scratch / "run"
    done, report = (json.loads((run / name).read_text()) for name in ("distill/done.json", "report.json"))
    end = evaluate(AutoModelForSequenceClassification.from_pretrained(run / "student"), work)
    store = report["store_seconds"]
    seconds = epoch_seconds(run, options.epochs, done["seconds"])
    first, last = losses
    Result(seconds, done["updates"], first, last, start, end, store, clock.checkpoint_seconds).write(options)


def overrides(work: Work) -> list[str]:
    """What is said on the command line; validation, which has no part in the work, is left out."""
    options, settings = work.options, work.settings
    names = ["response", "hidden_states", "attention"][: 1 + bool(work.hidden) + bool(work.attention)]
    knowledge = KNOWLEDGE[options.mode] + ([] if options.mode == "labels" else [f"kd=[{','.join(names)}]"])
    return [
        "data=files",
        *(f"data.{split}={options.work.resolve()}/{split}.csv" for split in ("train", "validation", "test")),
        f"data.max_length={settings['max_length']}",
        f"data.batch_size={settings['batch_size']}",
        "teacher=local",
        f"teacher.path={(work.folder / 'teacher').resolve()}",
        f"student={options.student}",
        *work.overrides,
        *knowledge,
        f"seed={settings['seed']}",
        "baseline=false",
        f"trainer.max_epochs={options.epochs}",
        f"trainer.gradient_clip_val={settings['clip']}",
        f"optimizer.weight_decay={settings['weight_decay']}",
        f"optimizer.warmup={settings['warmup']}",
        "trainer.accelerator=cpu",
        "trainer.precision=32-true",
        "trainer.enable_progress_bar=false",
        "+trainer.limit_val_batches=0",
        f"cache_dir={options.scratch.resolve()}/cache",  # empty: what is stored is stored now
        f"hydra.run.dir={options.scratch.resolve()}/run",
    ]


def watch_losses() -> list[float]:
    """The distiller's loss on the longest training rows before and after training, once it is through."""
    losses: list[float] = []
    dry_run, on_train_end = Distiller.dry_run, Distiller.on_train_end
    kept: list[Any] = []

    def first(distiller: Distiller, batch: Any) -> None:
        losses.append(loss_of(distiller, batch))
        kept.append(batch)
        dry_run(distiller, batch)

    def last(distiller: Distiller) -> None:
        on_train_end(distiller)
        losses.append(loss_of(distiller, kept[0]))

    Distiller.dry_run, Distiller.on_train_end = first, last  # type: ignore[method-assign,assignment]
    return losses


@torch.no_grad()
def loss_of(distiller: Distiller, batch: Any) -> float:
    """The sum over all lessons without dropout."""
    distiller.networks.eval()
    loss = sum(float(part) for part in distiller.losses(distiller.step_of(batch, Moment())).values())
    distiller.networks.train()
    return loss


def watch_checkpoints(clock: Clock) -> None:
    """Count the seconds that go into checkpoints during training."""
    save: Callable[..., Any] = pl.Trainer.save_checkpoint

    def timed(trainer: pl.Trainer, *args: Any, **kwargs: Any) -> None:
        with clock.checkpoint() if trainer.training else nullcontext():
            save(trainer, *args, **kwargs)

    pl.Trainer.save_checkpoint = timed  # type: ignore[method-assign,assignment]


def epoch_seconds(run: Path, epochs: int, total: float) -> list[float]:
    """Of each epoch, from the run's metrics."""
    with (run / "metrics.csv").open(newline="") as file:
        ends = [float(row["train/seconds"]) for row in DictReader(file) if row.get("train/seconds")]
    if len(ends) != epochs:
        raise ValueError(f"metrics.csv tells of {len(ends)} epochs, not {epochs}")
    return [end - start for start, end in zip([0.0, *ends], [*ends[:-1], total], strict=False)]


if __name__ == "__main__":
    main()
