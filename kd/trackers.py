"""Loggers that cannot stop a training run."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from pytorch_lightning.loggers import Logger

log = logging.getLogger(__name__)


class Guarded(Logger):
    """Passes everything on to a logger until that fails; then says so once and goes quiet.

    Args:
        name: of the choice, for the warning.
        make: gives the logger; it may fail too.
    """

    def __init__(self, name: str, make: Callable[[], Logger]):
        super().__init__()
        self._name, self._logger = name, None
        self._logger = self._try(make)

    def _try(self, action: Callable[[], Any], default: Any = None) -> Any:
        try:
            return action()
        except Exception as error:  # whatever a tracker raises, training goes on
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            log.warning("logger %s failed and is switched off: %s", self._name, reason)
            self._logger = None
            return default

    def _pass_on(self, method: str, *args: Any, **kwargs: Any) -> None:
        logger = self._logger
        if logger is not None:
            self._try(lambda: getattr(logger, method)(*args, **kwargs))

    @property
    def name(self) -> str | None:
        return self._name

    @property
    def version(self) -> str:
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._pass_on("log_metrics", metrics, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._pass_on("log_hyperparams", params, *args, **kwargs)

    def save(self) -> None:
        self._pass_on("save")

    def finalize(self, status: str) -> None:
        self._pass_on("finalize", status)

    def finish(self) -> None:
        """End the tracker's run, so that the next job of a sweep begins one of its own."""
        self._try(lambda: getattr(getattr(self._logger, "experiment", None), "finish", int)())
