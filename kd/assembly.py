"""The fits of a run: the teacher's fine-tuning, the distillation, and the baseline."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback

from data.module import Batches
from kd.distiller import Distiller, Optimisation
from kd.fitting import Fitted, fit, resolve_precision
from kd.objective import Objective
from kd.once import About, made_once
from kd.plan import Plan, ranks_of
from kd.progress import Progress
from kd.schemes.base import STUDENT, TEACHER, Pair, Scheme
from kd.schemes.offline import Alone
from kd.signals import LiveTeacher, StoredTeacher
from kd.stages import stage_of
from kd.storing import Storing
from kd.teachers import Candidate, fine_tuned
from models.heads import saved_as
from models.network import Network
from models.transformer import load
from potstill import fingerprint
from potstill.terminal import has_bars

log = logging.getLogger(__name__)

# A teacher serves many runs: what is particular to one of them, such as its length, does not reach it.
TEACHERS_SETTINGS = {
    *("_target_", "accelerator", "devices", "num_nodes", "strategy", "precision", "gradient_clip_val"),
    *("log_every_n_steps", "enable_progress_bar", "enable_model_summary"),
}
SHOWN = {"log_every_n_steps", "enable_progress_bar", "enable_model_summary", "profiler", "max_epochs"}


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

    def teachers(self) -> tuple[dict[str, Network], float]:
        """The fine-tuned teachers, by name, and the seconds that fine-tuning took now."""
        found = {name: self._teacher(name, candidate) for name, candidate in self.plan.teachers.items()}
        return {name: network for name, (network, _) in found.items()}, sum(seconds for _, seconds in found.values())

    def _teacher(self, name: str, candidate: Candidate) -> tuple[Network, float]:
        draft, settings, plan = candidate.draft, candidate.fine_tuning, self.plan
        if candidate.tuned:
            return draft.network(), 0.0
        trainer = [self._precision, self.config.trainer.gradient_clip_val, ranks_of(self.config)]
        key = [plan.examples.fingerprint, plan.task.name, asdict(plan.task), self.config.data.max_length, trainer]

        def train(network: Network, folder: Path) -> float:
            fused = not self._precision.endswith("-mixed")
            optimisation = settings.optimisation(fused)
            prefix = "teacher/" if name == TEACHER else f"teacher/{name}/"
            distiller = self._alone(network, settings.seed, prefix, optimisation)
            batches = self._batches(plan.examples.train, [network], settings.seed, settings.batch_size)
            own: dict[str, Any] = {"max_epochs": settings.epochs, "accumulate_grad_batches": 1}
            return self._fit(distiller, batches, folder, only=TEACHERS_SETTINGS, **own).seconds

        return fine_tuned(draft, key, settings, Path(self.config.cache_dir), train, self.folder)

    def distil(self, teachers: Mapping[str, Network]) -> tuple[Network, Fitted, float]:
        """The student after distillation, what that took, and the seconds that asking teachers beforehand took."""
        plan, seed = self.plan, self.config.seed
        networks = {name: self._started(name, teachers.get(TEACHER)) for name in plan.drafts}
        specs = {name: network.spec for name, network in networks.items()}
        if exits := plan.scheme.exits(specs):
            networks[STUDENT].add_exits(exits)
        networks[STUDENT].freeze(plan.frozen)
        objective, fields = self._objective(plan.pairs), plan.fields
        plan.scheme.connect(specs)
        for name, network in networks.items():
            network.record(fields.get(name, frozenset()))
        frozen = {name: LiveTeacher(teacher, fields[name]) for name, teacher in teachers.items() if name in fields}
        signals = {name: StoredTeacher(name, live) for name, live in frozen.items()}
        distiller = Distiller(
            networks,
            signals,
            plan.scheme,
            plan.pairs,
            objective,
            plan.task,
            plan.examples.validation,
            self._optimisation(),
            fields,
            seed,
            compiled=self.config.compile,
        )
        readers = [*networks.values(), *(live.network for live in frozen.values())]
        words = any(term.by_word for some in plan.terms.values() for term in some.values())
        batches = self._batches(plan.rows, readers, seed, self.config.data.batch_size, words)
        storing = Storing(plan.store, frozen, plan.task, plan.max_length, self._bar)
        log.info("student: distilling")
        callbacks = [storing, *plan.callbacks.values()]
        fitted = self._fit(distiller, batches, self.folder / "distill", callbacks, max_epochs=plan.epochs)
        student = distiller.network(plan.scheme.outcome)
        if not plan.scheme.keeps_exits:
            student.exits = None
        return student, fitted, storing.seconds

    def baseline(self, teacher: Network | None, updates: int) -> Network:
        """The same student from the same first weights, after as many updates on the labels alone.

        Runs that differ in nothing that the baseline knows of share one.
        """
        network, every = self._network(STUDENT, teacher), max(1, updates // self.plan.epochs)
        folder = Path(self.config.cache_dir) / "baselines" / self._baseline_key(network, updates, every)

        def make() -> tuple[Network, About]:
            log.info("baseline: training the same student on the labels alone")
            return network, asdict(self._train_baseline(network, updates, every))

        if made_once(folder, "baseline", make) is None:
            network.model.load_state_dict(load(folder).model.state_dict())
        return network

    def _train_baseline(self, network: Network, updates: int, every: int) -> Fitted:
        plan, seed = self.plan, self.config.seed
        distiller = self._alone(network, seed, "baseline/", self._optimisation())
        return self._fit(
            distiller,
            self._batches(plan.examples.train, [network], seed, self.config.data.batch_size),
            self.folder / "baseline",
            max_epochs=-1,
            max_steps=updates,
            val_check_interval=every * self.config.trainer.accumulate_grad_batches,
            check_val_every_n_epoch=None,
        )

    def _baseline_key(self, network: Network, updates: int, every: int) -> str:
        config = self.config
        trainer, optimizer = (OmegaConf.to_container(config[part], resolve=True) for part in ("trainer", "optimizer"))
        assert isinstance(trainer, dict)
        assert isinstance(optimizer, dict)
        optimizer.pop("frozen")  # it trains all of its weights
        decisive = {key: value for key, value in trainer.items() if key not in SHOWN}
        task, data = [self.plan.task.name, asdict(self.plan.task)], config.data
        rows = [self.plan.examples.fingerprint, task, data.max_length, data.batch_size]
        settings = [decisive, optimizer, self._precision, config.compile, config.seed, updates, every, ranks_of(config)]
        return fingerprint.of_value([network.fingerprint(), network.spec.tokenizer, rows, settings])

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
            self.plan.examples.validation,
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

    def _started(self, name: str, teacher: Network | None) -> Network:
        """The same, but the student goes on from where it is to start."""
        network = self._network(name, teacher)
        if name == STUDENT and self.config.start_from:
            saved = load(Path(self.config.start_from))
            whole = saved.spec.problem == saved_as(network.spec.problem)
            start, model = (saved.model, network.model) if whole else (saved.model.base_model, network.model.base_model)
            model.load_state_dict(start.state_dict(), strict=whole)  # an encoder may lack the pooler
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

    def _batches(
        self, rows: Dataset, networks: list[Network], seed: int, batch_size: int, words: bool = False
    ) -> Batches:
        data, validation = self.config.data, self.plan.examples.validation
        return Batches(
            rows,
            validation,
            [network.tokenizer for network in networks],
            data.max_length,
            batch_size,
            data.eval_batch_size,
            data.workers,
            seed,
            words,
            self.plan.task,
        )

    @property
    def _precision(self) -> str:
        return resolve_precision(self.config.trainer.precision, self.config.trainer.accelerator)

    @property
    def _bar(self) -> bool:
        return self.config.trainer.enable_progress_bar and not self.config.quiet and has_bars()

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
        settings |= {"precision": self._precision, "enable_progress_bar": False}  # there is one of our own
        trainer = instantiate({**settings, "_partial_": True, **length}, _convert_="all")
        phase, stage = distiller.prefix.rstrip("/") or "distil", stage_of(self.config)
        progress = Progress(f"{stage}: {phase}" if stage else phase, self._bar)
        distiller.networks.train()
        every = self.config.checkpoint_every_n_steps
        return fit(distiller, batches, folder, trainer, every, self.loggers, [*callbacks, progress])
