"""What a run is called in trackers, and how its folder finds its own run there again."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from kd.stages import STAGES, parted

log = logging.getLogger(__name__)

TRACKERS = "trackers.json"
OF_A_SWEEP = "multirun.yaml"  # which Hydra writes into its folder before the first job


def name_of(run_dir: str) -> str:
    """`RUN`, or `SWEEP/NUMBER` for a job of a sweep, or either with `/STAGE` for a stage before the last one."""
    run, stage = parted(run_dir)
    start = (_sweep_of(run) or run).parent
    return "/".join([*run.relative_to(start).parts, *([stage] if stage else [])])


def group_of(run_dir: str) -> str | None:
    """The sweep that a run is a job of, or else the run that a stage belongs to; None for one that stands alone."""
    run, _ = parted(run_dir)
    if sweep := _sweep_of(run):
        return sweep.name
    return run.name if (run / STAGES).exists() else None


def tracked(run_dir: str) -> dict[str, str]:
    """What trackers call the run of this folder, by the tracker's name."""
    return entries(Path(run_dir) / TRACKERS)


def keep(run_dir: str, runs: Mapping[str, str]) -> None:
    """Write down what trackers call the run, so that it is gone on with there, and found by those who learn from it."""
    if not runs:
        return
    path = Path(run_dir) / TRACKERS
    unfinished = path.with_suffix(".unfinished")
    try:
        unfinished.write_text(json.dumps(tracked(run_dir) | dict(runs), indent=2))
        unfinished.replace(path)
    except OSError as error:
        log.warning("%s cannot be written, so that resume= would begin new runs in trackers: %s", path, error)


def entries(path: Path) -> dict[str, Any]:
    """Those of a JSON file; none where it is missing, unreadable or damaged, as no training ends for that."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def figures_of(report: Mapping[str, Any], prefix: str = "report") -> dict[str, float]:
    """The numbers of a report, such as `report/student/score`."""
    figures: dict[str, float] = {}
    for key, value in report.items():
        if isinstance(value, Mapping):
            figures |= figures_of(value, f"{prefix}/{key}")
        elif isinstance(value, int | float):
            figures[f"{prefix}/{key}"] = value
    return figures


def _sweep_of(run: Path) -> Path | None:
    return next((folder for folder in run.parents if (folder / OF_A_SWEEP).exists()), None)


OmegaConf.register_new_resolver("name_of_run", name_of, replace=True)
OmegaConf.register_new_resolver("group_of_run", group_of, replace=True)
OmegaConf.register_new_resolver("run_in", lambda tracker, run_dir: tracked(run_dir).get(tracker), replace=True)
