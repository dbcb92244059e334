"""Loggers that cannot stop a training run."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger

from kd import ranks

log = logging.getLogger(__name__)


class Guarded(Logger):
    """Passes everything on to a logger until that fails; then says so once and goes quiet.

    Of several processes only the first one has the logger. `conclude` and `finish` reach loggers that have them.

    Args:
        name: of the choice, for the warning.
        make: gives the logger; it may fail too.
    """

    def __init__(self, name: str, make: Callable[[], Logger]):
        super().__init__()
        self._name = name
        self._logger: Any = None
        if ranks.is_first():
            self._logger = self._try(make)

    def _try(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # whatever a tracker raises, training goes on
            log.warning("logger %s failed and is switched off: %s", self._name, _reason(error))
            broken, self._logger = self._logger, None
            with suppress(Exception):  # so that the next run does not go on in this one's
                broken.finish(failed=True)
            return None

    def _pass_on(self, method: str, *args: Any, **kwargs: Any) -> None:
        action = getattr(self._logger, method, None)
        if action is not None:
            self._try(lambda: action(*args, **kwargs))

    @property
    def name(self) -> str:
        return self._name

    @property
    def version(self) -> str:
        return ""

    @property
    def run(self) -> str | None:
        """What the tracker calls its run; None where it has no name of its own for it."""
        return self._try(lambda: getattr(self._logger, "version", None)) or None

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._pass_on("log_metrics", metrics, step)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._pass_on("log_hyperparams", params, *args, **kwargs)

    def save(self) -> None:
        self._pass_on("save")

    def finalize(self, status: str) -> None:
        self._pass_on("finalize", status)

    def after_save_checkpoint(self, checkpoint_callback: ModelCheckpoint) -> None:
        self._pass_on("after_save_checkpoint", checkpoint_callback)

    def conclude(self, figures: Mapping[str, float], folder: Path) -> None:
        """Put out the report.

        Args:
            figures: of the report, by name.
            folder: where its picture is.
        """
        self._pass_on("conclude", figures, folder)

    def finish(self, failed: bool = False) -> None:
        """End the tracker's run, so that the next one begins one of its own."""
        self._pass_on("finish", failed)

    def __enter__(self) -> "Guarded":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.finish(failed=kind is not None)


def _reason(error: BaseException) -> str:
    """The first line of what went wrong."""
    if isinstance(error, InstantiationException):  # which tells of the call, and has the reason as its cause
        error = error.__cause__ or error
    return (str(error).strip() or type(error).__name__).splitlines()[0]
