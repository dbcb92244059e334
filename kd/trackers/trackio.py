"""Trackio: a database below the user's cache folder and a dashboard, without account or server."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


class Trackio(Logger):
    """Lightning has no logger for it.

    Args:
        project: that the run stands in.
        name: of the run, by which it is gone on with.
        group: that it belongs to.
        run: that it goes on with; None begins one.
        options: see `trackio.init`.
    """

    def __init__(self, project: str, name: str, group: str | None = None, run: str | None = None, **options: Any):
        super().__init__()
        import trackio

        self._trackio, self._begun = trackio, False
        self._config: dict[str, Any] = {}
        resume = "allow" if run else "never"
        self._options = {"project": project, "name": run or name, "group": group, "resume": resume, **options}

    @cached_property
    def experiment(self) -> Any:
        """Trackio's run, begun with the first figure, when all of the config is known."""
        self._begun = True
        return self._trackio.init(config=self._config, embed=False, **self._options)

    @property
    def name(self) -> str:
        return self._options["project"]

    @property
    def version(self) -> str:
        return self._options["name"]

    def log_hyperparams(self, params: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        self._config |= params

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.experiment.log(dict(metrics), step)

    def conclude(self, figures: Mapping[str, float], folder: Path) -> None:
        self.experiment.log({**figures, "report/picture": self._trackio.Image(folder / "report.png")})

    def finish(self, failed: bool = False) -> None:
        if self._begun:
            self._trackio.finish()
