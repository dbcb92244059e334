"""The trackers of one run, from its config to its end."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from kd.stages import stage_of
from kd.trackers.guarded import Guarded
from kd.trackers.masking import masked
from kd.trackers.runs import keep


@contextmanager
def opened(config: DictConfig) -> Iterator[list[Guarded]]:
    """The loggers that the config names, which know all of it but its passwords.

    At the end they finish, each of them, whatever has happened.
    """
    with ExitStack() as stack:
        nodes = (config.get("logger") or {}).items()
        loggers = [stack.enter_context(Guarded(name, partial(instantiate, node))) for name, node in nodes]
        settings = masked(OmegaConf.to_container(config, resolve=True))
        for logger in loggers:
            logger.log_hyperparams(settings | {"stage": stage_of(config)})
        keep(config.run_dir, {logger.name: run for logger in loggers if (run := logger.run)})
        yield loggers
