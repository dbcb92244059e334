"""The LightningModule: for each lesson of the scheme, add label loss and knowledge terms."""

import time
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import get_scheduler

from data.task import Task
from kd import ranks
from kd.moment import Moment
from kd.objective import Objective
from kd.schemes.base import Pair, Scheme, Step
from kd.signals import LiveTeacher
from models.network import Network
from models.output import Fields, ModelOutput
from potstill.errors import UserError

Batch = Mapping[str, Any]
Signal = Callable[[Batch], ModelOutput]


@dataclass(frozen=True)
class Optimisation:
    """How weights move.

    Args:
        optimizer: makes one from parameter groups.
        schedule: transformers' name of a learning-rate schedule.
        warmup: share of the steps over which the rate rises from zero.
        learning_rates: of single networks; others have the optimizer's own.
    """

    optimizer: Callable[[Iterable[Any]], torch.optim.Optimizer]
    schedule: str
    warmup: float
    learning_rates: Mapping[str, float]


class Distiller(pl.LightningModule):
    """Trains networks by the lessons of a scheme.

    A frozen teacher's signal is no submodule: it is in no checkpoint, no optimiser and no DDP wrapper. The scheme
    and its frozen copies, which move, are submodules.

    Args:
        networks: what trains, by name.
        signals: what a frozen network says of a batch, by name.
        scheme: makes lessons.
        pairs: the scheme's pairs.
        objective: the loss of a lesson.
        task: scores predictions.
        validation: the rows whose predictions are scored.
        optimisation: how weights move.
        fields: what each network is to record, by name.
        seed: of dropout; the random numbers of a step follow from seed, epoch and batch alone.
        prefix: of the logged names.
        compiled: run the networks through torch.compile, for any batch size and length; what is saved stays plain.
    """

    def __init__(
        self,
        networks: Mapping[str, Network],
        signals: Mapping[str, Signal],
        scheme: Scheme,
        pairs: list[Pair],
        objective: Objective,
        task: Task,
        validation: Dataset,
        optimisation: Optimisation,
        fields: Mapping[str, Fields],
        seed: int,
        prefix: str = "",
        compiled: bool = False,
    ):
        super().__init__()
        self.networks = nn.ModuleDict(dict(networks))
        self.runners = {name: _compiled(network) if compiled else network for name, network in networks.items()}
        self.objective = objective
        self.signals, self.scheme, self.pairs, self.task = dict(signals), scheme, pairs, task
        copied = {
            name: LiveTeacher(deepcopy(networks[of]), fields.get(name, frozenset()))
            for name, of in scheme.copies().items()
        }
        self.copies = nn.ModuleDict(copied)
        self.optimisation, self.fields, self.seed, self.prefix = optimisation, dict(fields), seed, prefix
        learners = dict.fromkeys([*(pair.learner for pair in pairs), scheme.outcome])
        self.metrics = nn.ModuleDict({name: task.metrics(validation) for name in learners})
        self.seconds, self._updates = 0.0, 1

    @property
    def monitor(self) -> str:
        """The logged name of the score that chooses the checkpoint."""
        return f"{self.prefix}val/{self.task.metric}"

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        step = self.step_of(batch, self.moment())
        losses = self.losses(step)
        total = torch.stack(list(losses.values())).sum()
        self.scheme.after_batch(step)
        if self.logs_this_step():
            self.log_dict({f"{self.prefix}train/{name}": loss.detach() for name, loss in losses.items()})
            self.log(f"{self.prefix}train/loss", total.detach(), prog_bar=True)
        return total

    def logs_this_step(self) -> bool:
        """Whether Lightning would hand this step's figures to a logger: gathering them costs, on a small student."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return bool(every) and (self.trainer.global_step + 1) % every == 0

    def losses(self, step: Step) -> dict[str, Tensor]:
        """The parts of the loss, by name."""
        losses: dict[str, Tensor] = {}
        for lesson in self.scheme.lessons(self.pairs, step):
            for name, loss in self.objective(lesson, step.batch).items():
                losses[name] = losses[name] + loss if name in losses else loss
        return losses

    def step_of(self, batch: Batch, moment: Moment) -> Step:
        """The batch with every network's output, made when it is first asked for."""

        @cache
        def run(name: str) -> ModelOutput:
            if name in self.signals:
                return self.signals[name](batch)
            if name in self.copies:
                return self.copies[name](batch)
            return self.runners[name](batch["encodings"], self.fields.get(name, frozenset()))

        return Step(batch, run, moment)

    def network(self, name: str) -> Network:
        """A network that trains, or a copy of one."""
        return self.copies[name].network if name in self.copies else self.networks[name]  # type: ignore[return-value]

    def dry_run(self, batch: Batch) -> None:
        """Pass one batch through all lessons and change nothing, so that mismatches show in seconds.

        Raises:
            UserError: tensors of learner and teacher do not match.
        """
        try:
            with torch.no_grad(), ranks.alone():
                step = self.step_of(batch, Moment())
                for update in (0, 1):  # of 1: before training and after it
                    self.losses(replace(step, moment=Moment(update)))
        except (RuntimeError, IndexError, ValueError) as error:
            raise UserError(f"kd: the first batch does not go through: {error}") from error

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        names = dict.fromkeys([*self.networks, self.scheme.outcome])
        outputs = {name: self.network(name)(batch["encodings"]) for name in names}
        said = self.scheme.predictions(outputs)
        self._scored = list(said)
        self.scheme.on_validation_batch(said, batch["labels"])
        for name, logits in said.items():
            predictions = self.task.predictions(logits.float())
            self.metrics[name].update(predictions, batch["labels"], ids=batch["id"])  # type: ignore[operator]

    def on_validation_epoch_end(self) -> None:
        self.scheme.on_validation_end()
        for name in self._scored:
            metrics = self.metrics[name]
            place = "" if name == self.scheme.outcome else f"{name}/"
            scores = metrics.compute()  # type: ignore[operator]
            metrics.reset()  # type: ignore[operator]
            for metric, score in scores.items():
                self.log(
                    f"{self.prefix}val/{place}{metric}",
                    score.float().nan_to_num(),  # no correlation where all predictions are the same
                    prog_bar=not place and metric == self.task.metric,
                )

    def on_train_start(self) -> None:
        self._started = time.monotonic() - self.seconds

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Random numbers that do not depend on the past: a resumed run draws the same ones."""
        key = (self.seed, self.current_epoch, batch_idx, self.global_rank)
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        torch.default_generator.manual_seed(seed)  # torch.manual_seed keeps a traceback a call where there is no GPU
        if self.device.type != "cpu":
            torch.get_device_module(self.device).manual_seed(seed)
        for follower in (self.scheme, self.objective):
            follower.at(self.moment())

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        copies = {name: self.network(name) for name in self.copies}
        self.scheme.after_update(dict(self.networks.items()), copies, self.moment(1))  # type: ignore[arg-type]

    def on_train_epoch_end(self) -> None:
        self.log(f"{self.prefix}train/seconds", time.monotonic() - self._started)

    def on_train_end(self) -> None:
        self.seconds = time.monotonic() - self._started

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["seconds"] = time.monotonic() - self._started

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.seconds = checkpoint["seconds"]

    def configure_optimizers(self) -> Any:
        optimizer = self.optimisation.optimizer(self._groups())
        self._updates = steps = int(self.trainer.estimated_stepping_batches)
        schedule = self.scheme.schedule(optimizer, steps) or get_scheduler(
            self.optimisation.schedule, optimizer, int(self.optimisation.warmup * steps), steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def moment(self, more: int = 0) -> Moment:
        """Now, or so many updates later."""
        return Moment(self.trainer.global_step + more, self._updates, self.current_epoch, self._epochs)

    @property
    def _epochs(self) -> int:
        return max(self.trainer.max_epochs or 1, 1)  # -1 where updates are counted

    def _groups(self) -> list[dict[str, Any]]:
        """Each network and the projections, matrices apart from vectors, which do not decay."""
        rates = self.optimisation.learning_rates
        parts = [("projections", self.objective, None), ("scheme", self.scheme, self.scheme.learning_rate)]
        parts += [(name, network, rates.get(name)) for name, network in self.networks.items()]
        groups: list[dict[str, Any]] = []
        for name, module, rate in parts:
            options = {"name": name} | ({"lr": rate} if rate else {})
            parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
            matrices = [parameter for parameter in parameters if parameter.ndim > 1]
            vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
            groups += [{"params": matrices, **options}, {"params": vectors, "weight_decay": 0.0, **options}]
        return [group for group in groups if group["params"]]


def _compiled(network: Network) -> Callable[..., ModelOutput]:
    return torch.compile(network, dynamic=True)
