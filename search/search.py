"""The search: what fits the budget is trained, and what it comes to decides what is tried next."""

import os
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from kd.run_folder import made
from potstill import sweeps
from potstill.errors import UserError, check_counts
from search.budget import Budget, Cost, Costs
from search.outcome import (
    COST,
    DIRECTIONS,
    FAILED,
    FOLDER,
    OUTCOME,
    OVER,
    OVERRIDES,
    PRUNED,
    REFUSED,
    REPEATED,
    TRAINED,
    conclusion,
    said,
)
from search.pruning import pruned
from search.space import space_of

SPACE = "space"
PATIENCE = 100  # candidates in a row of which none is to be trained
ALL_REFUSED = 8  # candidates at the beginning that are all refused: something else is wrong

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Search:
    """Asks Optuna for candidates, measures them, has those within the budget trained, and tells what they came to.

    It maximises the score in validation, and minimises latency and size. What is known stands in the storage: a
    search that was interrupted goes on.

    Args:
        config: of the sweep.
        loader: composes the configs of its runs.
        launcher: runs them.
        arguments: of the command line.
    """

    def __init__(self, config: DictConfig, loader: ConfigLoader, launcher: Launcher, arguments: list[str]):
        self.config, self.loader, self.launcher, self.arguments = config, loader, launcher, arguments
        self.settings = config.budget
        check_counts("budget", self.settings, ["students"])
        self.budget = Budget(self.settings.latency_ms, self.settings.size_mb)
        parser = OverridesParser.create(config_loader=loader)
        self.space = space_of(self.settings.space, self.settings.sizes, arguments, parser)
        self.folder = Path(config.hydra.sweep.dir).absolute()
        self.storage = self.settings.storage or f"sqlite:///{self.folder / 'search.db'}"
        self.name = self.settings.study or (str(self.folder) if self.settings.storage else "search")
        self.costs, self.launched = Costs(), 0

    def run(self) -> str:
        """Search; prints and gives what came of it.

        Raises:
            UserError: no student within the budget was trained to its end.
        """
        if self.config.explain:
            raise UserError("explain=true: tells of one run; leave out -m and hparams_search")
        if self.config.plan:
            print(text := f"search    {self.settings.students} students within {self.budget}, out of\n{self.space}")
            return text
        try:
            with FileLock(made(self.folder) / "search.lock", timeout=0):
                self._search()
        except Timeout:
            raise UserError(f"hydra.sweep.dir: a search is running in {self.folder}; take another folder") from None
        text = conclusion(self.study, self.folder, self.budget)
        (self.folder / "search.md").write_text(text, encoding="utf-8")
        print(text, flush=True)
        return text

    def _search(self) -> None:
        self.study = self._study()
        self.before = len(self.study.trials)
        self.sampler, self.chance = instantiate(self.settings.sampler, seed=self.before), RandomSampler(self.before)
        self.study.sampler = self.sampler
        OmegaConf.save(self.config, self.folder / "multirun.yaml")
        self._take_up()
        sweeps.quiet = True
        while batch := self._batch():
            self._train(batch)

    def _study(self) -> optuna.Study:
        try:
            study = optuna.create_study(
                study_name=self.name, storage=self.storage, directions=list(DIRECTIONS), load_if_exists=True
            )
        except (ImportError, SQLAlchemyError) as error:
            raise UserError(f"budget.storage: {self.storage}: {error}") from error
        asked = f"{self.budget}\n{self.space}"
        known = study.user_attrs.get(SPACE, asked)
        if known != asked:
            raise UserError(
                f"hydra.sweep.dir: {self.folder} holds a search of other choices or bounds; take another folder"
            )
        study.set_user_attr(SPACE, asked)
        return study

    def _take_up(self) -> None:
        """Ask again for the candidates that were in training when a search was interrupted, or had failed."""
        done = {trial.user_attrs.get(FOLDER) for trial in self.study.trials if _is_settled(trial)}
        for trial in self.study.trials:
            attributes = {key: value for key, value in trial.user_attrs.items() if key != OUTCOME}
            broken = trial.state == TrialState.RUNNING or trial.user_attrs.get(OUTCOME) == FAILED
            if broken and COST in attributes and attributes[FOLDER] not in done:
                self.study.enqueue_trial(trial.params, user_attrs=attributes)
                done.add(attributes[FOLDER])
            if trial.state == TrialState.RUNNING:
                self.study.tell(trial.number, state=TrialState.FAIL)

    def _batch(self) -> list[Trial]:
        """As many candidates as run at once, fewer at the end, none when enough were trained or no new one is found."""
        trained = [trial for trial in self._tried() if trial.user_attrs.get(OUTCOME) in (TRAINED, PRUNED, FAILED)]
        wanted = min(self._at_once(), self.settings.students - len(trained))
        batch: list[Trial] = []
        misses = 0
        while len(batch) < wanted and misses < PATIENCE:
            trial = self.study.ask()
            admitted = self._is_admitted(trial)
            misses = 0 if admitted else misses + 1
            batch += [trial] if admitted else []
        return batch

    def _tried(self) -> list[FrozenTrial]:
        """The candidates of this search, without those that failed or were refused before it was taken up."""
        return [
            trial
            for trial in self.study.trials
            if trial.number >= self.before or trial.user_attrs.get(OUTCOME) not in (FAILED, REFUSED, None)
        ]

    def _at_once(self) -> int:
        launcher = self.config.hydra.launcher
        jobs = launcher.get("n_jobs") or launcher.get("array_parallelism") or 1
        return jobs if jobs > 0 else os.cpu_count() or 1

    def _is_admitted(self, trial: Trial) -> bool:
        """Whether a candidate is to be trained."""
        overrides = self.space.overrides(trial)
        if COST not in trial.user_attrs and not self._is_measured(trial, overrides):
            return False
        cost = trial.user_attrs[COST]
        excess = self.budget.excess(cost)
        for bound, share in excess.items():
            trial.set_constraint(bound, share)
        if max(excess.values(), default=0.0) > 0:
            return self._end(trial, OVER, _values(0.0, cost))
        self._say(said(trial, "within the budget"))
        return True

    def _is_measured(self, trial: Trial, overrides: list[str]) -> bool:
        """Whether a candidate is new and can be; if so, what it costs is known after this."""
        if any(other.user_attrs.get(OVERRIDES) == overrides for other in self._tried()):
            self.study.sampler = self.chance  # the other one would say so again
            return self._end(trial, REPEATED)
        self.study.sampler = self.sampler
        try:
            cost = self._cost(overrides)
        except (UserError, HydraException, OmegaConfBaseException) as error:
            trial.set_user_attr(OVERRIDES, overrides)
            return self._refuse(trial, " ".join(str(error).split()))
        for name, value in {OVERRIDES: overrides, FOLDER: str(trial.number), COST: cost}.items():
            trial.set_user_attr(name, value)
        return True

    def _refuse(self, trial: Trial, reason: str) -> bool:
        """End a candidate that cannot be.

        Raises:
            UserError: none of the first ones could, which has likely nothing to do with what is searched.
        """
        self._end(trial, REFUSED, reason=reason)
        if all(COST not in other.user_attrs for other in self._tried()) and len(self._tried()) >= ALL_REFUSED:
            raise UserError(f"hparams_search: no candidate can be trained; the last one: {reason}")
        return False

    def _cost(self, overrides: list[str]) -> Cost:
        overrides = self._complete(overrides)
        config = self.loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.pop("hydra")
        config.run_dir = str(self.folder)
        return self.costs.cost(config, overrides)

    def _train(self, batch: list[Trial]) -> None:
        first, self.launched = self.launched, self.launched + len(batch)
        self.launcher.launch([self._job(trial) for trial in batch], initial_job_idx=first)
        ended = pruned(self.storage, self.name)
        for number, trial in enumerate(batch, start=first):
            folder = self.folder / trial.user_attrs[FOLDER]
            if (folder / sweeps.REPORT).exists():
                self._end(trial, TRAINED, _values(sweeps.score_of(folder) or 0.0, trial.user_attrs[COST]))
            elif str(folder) in ended:
                (sweeps.failures(str(self.folder)) / f"{number}.txt").unlink(missing_ok=True)
                self._end(trial, PRUNED, _values(ended[str(folder)].values[0], trial.user_attrs[COST]))
            else:
                self._end(trial, FAILED, reason=sweeps.reason_of(folder) or "it left no report")

    def _job(self, trial: Trial) -> list[str]:
        return [*self._complete(trial.user_attrs[OVERRIDES]), f"hydra.sweep.subdir={trial.user_attrs[FOLDER]}"]

    def _complete(self, overrides: list[str]) -> list[str]:
        """With where the runs are compared, if they are."""
        prunes = any(override.startswith("callbacks=") and "pruning" in override for override in overrides)
        where = {"storage": self.storage, "study": self.name} if prunes else {}
        return [*overrides, *(f"callbacks.pruning.{key}={sweeps.quoted(value)}" for key, value in where.items())]

    def _end(self, trial: Trial, outcome: str, values: list[float] | None = None, reason: str = "") -> bool:
        trial.set_user_attr(OUTCOME, outcome)
        self.study.tell(trial, values, state=TrialState.COMPLETE if values else TrialState.FAIL)
        if outcome != REPEATED:
            self._say(said(trial, f"{outcome}: {reason:.200}" if reason else outcome))
        return False

    def _say(self, line: str) -> None:
        if not self.config.quiet:
            print(line, flush=True)


def _is_settled(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.WAITING or trial.user_attrs.get(OUTCOME) in (TRAINED, PRUNED)


def _values(score: float, cost: Cost) -> list[float]:
    return [score, cost["latency_ms"], cost["megabytes"]]
