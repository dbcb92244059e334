"""Trackio: a database below the user's cache folder and a dashboard, without account or server."""

import io
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger


class Trackio(Logger):
    """Lightning has no logger for it. What it prints is left out, as that has colours in files too.

    Args:
        project: that the run stands in.
        name: of the run; it gets a number where the project has one of that name.
        group: that it belongs to.
        run: that it goes on with; None begins one.
        options: see `trackio.init`.
    """

    def __init__(self, project: str, name: str, group: str | None = None, run: str | None = None, **options: Any):
        super().__init__()
        import trackio

        self._trackio = trackio
        self._config: dict[str, Any] = {}
        resume = "allow" if run else "never"
        name = run or self._free(project, name)
        self._options = {"project": project, "name": name, "group": group, "resume": resume, **options}

    def _free(self, project: str, name: str) -> str:
        """Trackio goes on with runs, and shows them, by their names alone."""
        taken = self._trackio.sqlite_storage.SQLiteStorage.get_runs(project)
        return next(free for number in count(1) if (free := f"{name}-{number}" if number > 1 else name) not in taken)

    @cached_property
    def experiment(self) -> Any:
        """Trackio's run, begun with the first figure, when all of the config is known."""
        with redirect_stdout(io.StringIO()):
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
        if "experiment" in vars(self):  # it has begun
            with redirect_stdout(io.StringIO()):
                self._trackio.finish()
