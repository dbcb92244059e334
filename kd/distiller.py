"""The LightningModule: for each lesson of the scheme, add label loss and knowledge terms."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from transformers import get_scheduler

from data.classification import Classification
from kd.objective import Objective
from kd.schemes.base import Pair, Run, Scheme
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

    The teacher's signal is no submodule: it is in no checkpoint, no optimiser and no DDP wrapper.

    Args:
        networks: what trains, by name.
        signals: what a frozen network says of a batch, by name.
        scheme: makes lessons.
        pairs: the scheme's pairs.
        objective: the loss of a lesson.
        task: scores predictions.
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
        task: Classification,
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
        self.optimisation, self.fields, self.seed, self.prefix = optimisation, dict(fields), seed, prefix
        self.metrics = nn.ModuleDict({pair.learner: task.metrics() for pair in pairs})
        self.seconds = 0.0

    @property
    def monitor(self) -> str:
        """The logged name of the score that chooses the checkpoint."""
        return f"{self.prefix}val/{self.task.metric}"

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses: dict[str, Tensor] = {}
        for lesson in self.scheme.lessons(self.pairs, self.outputs_of(batch)):
            for name, loss in self.objective(lesson, batch).items():
                losses[name] = losses[name] + loss if name in losses else loss
        total = torch.stack(list(losses.values())).sum()
        if self._logs_this_step():
            self.log_dict({f"{self.prefix}train/{name}": loss.detach() for name, loss in losses.items()})
            self.log(f"{self.prefix}train/loss", total.detach(), prog_bar=True)
        return total

    def _logs_this_step(self) -> bool:
        """Whether Lightning would hand this step's figures to a logger: gathering them costs, on a small student."""
        every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        return bool(every) and (self.trainer.global_step + 1) % every == 0

    def outputs_of(self, batch: Batch) -> Run:
        """A function from a network's name to its output for this batch."""

        def run(name: str) -> ModelOutput:
            if name in self.signals:
                return self.signals[name](batch)
            return self.runners[name](batch["encodings"], self.fields.get(name, frozenset()))

        return run

    def dry_run(self, batch: Batch) -> None:
        """Pass one batch through all lessons and change nothing, so that mismatches show in seconds.

        Raises:
            UserError: tensors of learner and teacher do not match.
        """
        try:
            with torch.no_grad():
                for lesson in self.scheme.lessons(self.pairs, self.outputs_of(batch)):
                    self.objective(lesson, batch)
        except (RuntimeError, IndexError, ValueError) as error:
            raise UserError(f"kd: the first batch does not go through: {error}") from error

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        outputs = {name: network(batch["encodings"]) for name, network in self.networks.items()}
        for name, logits in self.scheme.predictions(outputs).items():
            self.metrics[name].update(logits.float(), batch["labels"])  # type: ignore[operator]

    def on_validation_epoch_end(self) -> None:
        for name, metrics in self.metrics.items():
            place = "" if name == "student" else f"{name}/"
            scores = metrics.compute()  # type: ignore[operator]
            metrics.reset()  # type: ignore[operator]
            for metric, score in scores.items():
                self.log(
                    f"{self.prefix}val/{place}{metric}",
                    score.float(),
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
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = get_scheduler(self.optimisation.schedule, optimizer, int(self.optimisation.warmup * steps), steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _groups(self) -> list[dict[str, Any]]:
        """Each network and the projections, matrices apart from vectors, which do not decay."""
        parts: list[tuple[nn.Module, dict[str, float]]] = [(self.objective, {})]
        rates = self.optimisation.learning_rates
        parts += [(network, {"lr": rates[name]} if name in rates else {}) for name, network in self.networks.items()]
        groups = []
        for module, options in parts:
            parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
            matrices = [parameter for parameter in parameters if parameter.ndim > 1]
            vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
            groups += [{"params": matrices, **options}, {"params": vectors, "weight_decay": 0.0, **options}]
        return [group for group in groups if group["params"]]


def _compiled(network: Network) -> Callable[..., ModelOutput]:
    return torch.compile(network, dynamic=True)
