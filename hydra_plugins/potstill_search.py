"""Hydra's door to the search: it looks for sweepers in this folder alone."""

from importlib.util import find_spec
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from potstill.errors import UserError


class BudgetSweeper(Sweeper):
    """Runs what `search.search` asks for; see `conf/hparams_search/budget.yaml`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config, self.loader = config, hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        if find_spec("optuna") is None:
            raise UserError("hparams_search: Optuna is not installed: pip install 'potstill[sweeps]'")
        from search.search import Search  # every run scans this folder, and few need Optuna

        assert self.config is not None
        assert self.launcher is not None
        return Search(self.config, self.loader, self.launcher, arguments).run()
