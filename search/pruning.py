"""Ends runs that are hopeless beside others of the same search."""

from collections.abc import Mapping
from typing import Any

import optuna
import pytorch_lightning as pl
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState, create_trial
from pytorch_lightning.callbacks import Callback

from kd.distiller import Distiller
from kd.stages import parted
from potstill.errors import UserError

optuna.logging.set_verbosity(optuna.logging.WARNING)

RUN = "run"
VALIDATIONS = ": validations of stage "


class PrunedError(UserError):
    """A run was ended because others did better at the same point."""


class Pruning(Callback):
    """After each validation compares a run with those that came as far before it, and ends it where it is hopeless.

    The scores of each run's validations are kept, as a trial, in a study of their own, since Optuna prunes for one
    objective alone. Runs of several stages are compared stage by stage.

    Args:
        storage: of the scores: a database's address.
        study: what the names of the studies there begin with; runs of the same one are compared.
        pruner: decides by scores alone, such as `optuna.pruners.MedianPruner`.
        run_dir: names the run.

    Raises:
        PrunedError: from training, in every process.
    """

    def __init__(self, storage: str, study: str, pruner: BasePruner, run_dir: str):
        self.storage, self.study, self.pruner, self.run_dir = storage, study, pruner, run_dir
        self.scores: dict[int, float] = {}

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        assert isinstance(module, Distiller)
        self.scores[len(self.scores)] = trainer.callback_metrics[module.monitor].item()
        hopeless = trainer.is_global_zero and self._is_hopeless()
        if trainer.strategy.broadcast(hopeless):
            if trainer.is_global_zero:
                self._keep(TrialState.PRUNED)
            raise PrunedError(
                f"pruned: {module.monitor} was {max(self.scores.values()):.3f} after validation {len(self.scores)}, "
                "where other runs of the search did better"
            )

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if trainer.is_global_zero and self.scores:
            self._keep(TrialState.COMPLETE)

    def state_dict(self) -> dict[str, Any]:
        return {"scores": self.scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.scores = state["scores"]

    def _is_hopeless(self) -> bool:
        so_far = create_trial(state=TrialState.RUNNING, intermediate_values=self.scores)
        return self.pruner.prune(self._study(), so_far)

    def _keep(self, state: TrialState) -> None:
        run, _ = parted(self.run_dir)
        best, about = max(self.scores.values()), {RUN: str(run)}
        trial = create_trial(state=state, value=best, intermediate_values=self.scores, user_attrs=about)
        self._study().add_trial(trial)

    def _study(self) -> optuna.Study:
        _, stage = parted(self.run_dir)
        return optuna.create_study(
            study_name=f"{self.study}{VALIDATIONS}{stage or 'last'}",
            storage=self.storage,
            direction="maximize",
            load_if_exists=True,
        )


def pruned(storage: str, study: str) -> Mapping[str, FrozenTrial]:
    """The trials of the runs of a study that were pruned, by their folders."""
    found: dict[str, FrozenTrial] = {}
    for name in optuna.get_all_study_names(storage):
        if name.startswith(f"{study}{VALIDATIONS}"):
            trials = optuna.load_study(study_name=name, storage=storage).get_trials(states=(TrialState.PRUNED,))
            found |= {trial.user_attrs[RUN]: trial for trial in trials}
    return found
