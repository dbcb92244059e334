"""What is logged beside the losses: learning rates, weights and temperatures that move, and how fast it goes."""

import time
from typing import Any

import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import Callback
from torch.optim import Optimizer

from kd.distiller import Batch, Distiller


class Rates(Callback):
    """Logs these in the steps whose losses are logged.

    `train/learning_rate/NAME` is that of a network, of the `projections` or of the `scheme`; `train/weight/TERM` and
    `train/temperature/TERM` follow their schedules, `train/weight/scheme` that of the scheme.
    `train/examples_per_second` and `train/tokens_per_second` count what all processes trained on since the step that
    was logged before, without the time of validations. Tokens are the student's, padding apart. A GPU is waited for
    in these steps only, not in every one as by Lightning's ThroughputMonitor.
    """

    def __init__(self) -> None:
        self._due = False

    def on_train_start(self, trainer: Trainer, module: Distiller) -> None:  # type: ignore[override]
        self._tokenizer = module.network(module.scheme.outcome).spec.tokenizer
        self._count_anew(module)

    def on_validation_start(self, trainer: Trainer, module: Distiller) -> None:  # type: ignore[override]
        self._paused = time.monotonic()

    def on_validation_end(self, trainer: Trainer, module: Distiller) -> None:  # type: ignore[override]
        self._since += time.monotonic() - self._paused

    def on_before_optimizer_step(self, trainer: Trainer, module: Distiller, optimizer: Optimizer) -> None:  # type: ignore[override]
        self._due = module.logs_this_step()
        if self._due:
            rates = {f"learning_rate/{group['name']}": group["lr"] for group in optimizer.param_groups}
            share = module.scheme.share(module.moment())
            self._log(module, rates | module.objective.moving() | ({} if share is None else {"weight/scheme": share}))

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: Trainer, module: Distiller, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._examples += len(batch["id"])
        self._tokens += batch["encodings"][self._tokenizer]["attention_mask"].sum()
        if self._due:
            tokens = int(self._tokens)  # waits for a GPU
            seconds = time.monotonic() - self._since
            speeds = {"examples_per_second": self._examples / seconds, "tokens_per_second": tokens / seconds}
            self._log(module, speeds, sync_dist=True, reduce_fx="sum")
            self._count_anew(module)

    def _log(self, module: Distiller, values: dict[str, float], **how: Any) -> None:
        module.log_dict({f"{module.prefix}train/{name}": value for name, value in values.items()}, **how)

    def _count_anew(self, module: Distiller) -> None:
        self._due, self._since = False, time.monotonic()
        self._examples, self._tokens = 0, torch.zeros((), dtype=torch.long, device=module.device)
