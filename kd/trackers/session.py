"""The trackers of one run, from its config to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from kd.stages import stage_of
from kd.trackers.guarded import Guarded
from kd.trackers.runs import keep


@contextmanager
def opened(config: DictConfig) -> Iterator[list[Guarded]]:
    """The loggers that the config names, which know all of it; at the end they finish, whatever has happened."""
    loggers = [Guarded(name, partial(instantiate, node)) for name, node in (config.get("logger") or {}).items()]
    failed = True
    try:
        settings = OmegaConf.to_container(config, resolve=True)
        assert isinstance(settings, dict)
        for logger in loggers:
            logger.log_hyperparams(settings | {"stage": stage_of(config)})
        keep(config.run_dir, {logger.name: run for logger in loggers if (run := logger.run)})
        yield loggers
        failed = False
    finally:
        for logger in loggers:
            logger.finish(failed)
