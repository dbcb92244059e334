"""The fits of a run: the teacher's fine-tuning, the distillation, and the baseline."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback

from data.module import Batches
from kd import teachers
from kd.distiller import Distiller, Optimisation
from kd.fitting import Fitted, fit, resolve_precision
from kd.objective import Objective
from kd.plan import Plan, ranks_of
from kd.schemes.base import STUDENT, TEACHER, Pair, Scheme
from kd.schemes.offline import Alone
from kd.signals import LiveTeacher, StoredTeacher
from kd.storing import Storing
from models.network import Network
from potstill import fingerprint

log = logging.getLogger(__name__)

# A teacher serves many runs: what is particular to one of them, such as its length, does not reach it.
TEACHERS_SETTINGS = {
    *("_target_", "accelerator", "devices", "num_nodes", "strategy", "precision", "gradient_clip_val"),
    *("log_every_n_steps", "enable_progress_bar", "enable_model_summary"),
}


class Assembly:
    """Builds what the config names and runs it.

    Args:
        config: of the run.
        plan: made of it.
        folder: of the run.
        loggers: where losses and scores go.
    """

    def __init__(self, config: DictConfig, plan: Plan, folder: Path, loggers: list[Any]):
        self.config, self.plan, self.folder, self.loggers = config, plan, folder, loggers

    def teacher(self) -> tuple[Network | None, float]:
        """The fine-tuned teacher, and the seconds that fine-tuning took now."""
        draft, plan = self.plan.teacher, self.plan
        if draft is None:
            return None, 0.0
        if plan.teacher_is_tuned:
            return draft.network(), 0.0
        settings: teachers.FineTuning = instantiate(self.config.teacher.fine_tuning)
        trainer = [self._precision, self.config.trainer.gradient_clip_val, ranks_of(self.config)]
        key = [plan.examples.fingerprint, plan.task.name, plan.task.metric, self.config.data.max_length, trainer]

        def train(network: Network, folder: Path) -> float:
            fused = not self._precision.endswith("-mixed")
            optimisation = settings.optimisation(fused)
            distiller = self._alone(network, settings.seed, "teacher/", optimisation)
            batches = self._batches(plan.examples.train, [network], settings.seed, settings.batch_size)
            own: dict[str, Any] = {"max_epochs": settings.epochs, "accumulate_grad_batches": 1}
            return self._fit(distiller, batches, folder, only=TEACHERS_SETTINGS, **own).seconds

        return teachers.fine_tuned(draft, key, settings, Path(self.config.cache_dir), train)

    def distil(self, teacher: Network | None) -> tuple[Network, Fitted, float]:
        """The student after distillation, what that took, and the seconds that asking the teacher beforehand took."""
        plan, seed = self.plan, self.config.seed
        networks = {name: self._network(name, teacher) for name in plan.drafts}
        specs = {name: network.spec for name, network in networks.items()}
        if exits := plan.scheme.exits(specs):
            networks[STUDENT].add_exits(exits)
        objective, fields = self._objective(plan.pairs), plan.fields
        for name, network in networks.items():
            network.record(fields.get(name, frozenset()))
        frozen = {TEACHER: LiveTeacher(teacher, fields[TEACHER])} if teacher and TEACHER in fields else {}
        signals = {name: StoredTeacher(name, live) for name, live in frozen.items()}
        distiller = Distiller(
            networks,
            signals,
            plan.scheme,
            plan.pairs,
            objective,
            plan.task,
            self._optimisation(),
            fields,
            seed,
            compiled=self.config.compile,
        )
        readers = [*networks.values(), *(live.network for live in frozen.values())]
        batches = self._batches(plan.rows, readers, seed, self.config.data.batch_size)
        bar = self.config.trainer.enable_progress_bar
        storing = Storing(plan.store, frozen, plan.max_length, bar)
        log.info("student: distilling")
        fitted = self._fit(distiller, batches, self.folder / "distill", [storing], max_epochs=plan.epochs)
        return networks[STUDENT], fitted, storing.seconds

    def baseline(self, teacher: Network | None, updates: int) -> Network:
        """The same student from the same first weights, after as many updates on the labels alone."""
        plan, seed = self.plan, self.config.seed
        network = self._network(STUDENT, teacher)
        distiller = self._alone(network, seed, "baseline/", self._optimisation())
        batches = self._batches(plan.examples.train, [network], seed, self.config.data.batch_size)
        log.info("baseline: training the same student on the labels alone")
        every = max(1, updates // plan.epochs) * self.config.trainer.accumulate_grad_batches
        self._fit(
            distiller,
            batches,
            self.folder / "baseline",
            max_epochs=-1,
            max_steps=updates,
            val_check_interval=every,
            check_val_every_n_epoch=None,
        )
        return network

    def _alone(self, network: Network, seed: int, prefix: str, optimisation: Optimisation) -> Distiller:
        scheme: Scheme = Alone()
        pairs = scheme.pairs({STUDENT: network.spec})
        label_loss = Objective({str(pair): {} for pair in pairs}, self.plan.task.loss, 1.0)
        return Distiller(
            {STUDENT: network},
            {},
            scheme,
            pairs,
            label_loss,
            self.plan.task,
            optimisation,
            {},
            seed,
            prefix,
            self.config.compile,
        )

    def _network(self, name: str, teacher: Network | None) -> Network:
        """A network whose random first weights depend on seed and name alone."""
        torch.manual_seed(fingerprint.of_text(f"{self.config.seed} {name}"))
        network = self.plan.drafts[name].network(teacher)
        if name != STUDENT:
            network.reset_head()  # peers that start as one stay one
        return network

    def _objective(self, pairs: list[Pair]) -> Objective:
        torch.manual_seed(self.config.seed)
        for pair in pairs:
            for term in self.plan.terms[str(pair)].values():
                assert pair.teacher_spec is not None
                term.connect(pair.learner_spec, pair.teacher_spec)
        return Objective(self.plan.terms, self.plan.task.loss, self.config.kd.label_weight)

    def _optimisation(self) -> Optimisation:
        settings, changed = self.config.optimizer, {}
        if self._precision.endswith("-mixed") and settings.factory.get("fused"):
            changed["fused"] = False  # Lightning clips no gradients for it, as it may unscale them itself
        own = {name: self.plan.drafts[name].blueprint for name, peer in self.plan.scheme.peers().items() if peer}
        return Optimisation(
            instantiate(settings.factory, **changed),
            settings.schedule,
            settings.warmup,
            {name: blueprint.learning_rate for name, blueprint in own.items()},
        )

    def _batches(self, rows: Dataset, networks: list[Network], seed: int, batch_size: int) -> Batches:
        data = self.config.data
        tokenizers = [network.tokenizer for network in networks]
        validation = self.plan.examples.validation
        return Batches(
            rows, validation, tokenizers, data.max_length, batch_size, data.eval_batch_size, data.workers, seed
        )

    @property
    def _precision(self) -> str:
        return resolve_precision(self.config.trainer.precision, self.config.trainer.accelerator)

    def _fit(
        self,
        distiller: Distiller,
        batches: Batches,
        folder: Path,
        callbacks: Sequence[Callback] = (),
        only: Collection[str] = (),
        **length: Any,
    ) -> Fitted:
        """Fit with the run's trainer settings, or `only` some of them, and what sets the length."""
        settings: dict[str, Any] = OmegaConf.to_container(self.config.trainer, resolve=True)  # type: ignore[assignment]
        settings = {key: value for key, value in settings.items() if not only or key in only}
        if isinstance(settings.get("profiler"), dict):
            settings["profiler"]["dirpath"] = str(folder)
        trainer = instantiate({**settings, "precision": self._precision, "_partial_": True, **length}, _convert_="all")
        distiller.networks.train()
        every = self.config.checkpoint_every_n_steps
        return fit(distiller, batches, folder, trainer, every, self.loggers, callbacks)
