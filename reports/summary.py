"""Many runs in one table: those that differ in nothing but their seed are averaged."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from reports.tables import table

Report = dict[str, Any]
Figure = Callable[[Report], float | None]

PERCENT: dict[str, Figure] = {
    "baseline": lambda report: report["baseline"] and report["baseline"]["score"],
    "student": lambda report: report["student"]["score"],
    "gain": lambda report: report["kd_gain"],
    "retention": lambda report: report["retention"],
}
TIMES: dict[str, Figure] = {
    "smaller": lambda report: report["compression"],
    "faster, batch 1": lambda report: report["speedup"] and report["speedup"]["1"],
    "faster, batch 32": lambda report: report["speedup"] and report["speedup"]["32"],
}

SECONDS: dict[str, Figure] = {"distillation, s": lambda report: report["distill_seconds"]}


def summary(folders: Iterable[Path]) -> str:
    """A row for each set of overrides: mean ± standard deviation over its runs.

    Args:
        folders: run folders, or folders of them at any depth.
    """
    groups: dict[str, list[Report]] = defaultdict(list)
    found = {path for folder in folders for path in folder.rglob("report.json") if not _is_stage(path, folder)}
    for path in sorted(found):
        report = json.loads(path.read_text())
        words = [word for word in report["overrides"] if not word.startswith(("seed=", "hydra."))]
        groups[" ".join(words) or "defaults"].append(report)
    rows = [[name, str(len(reports)), *_figures(reports)] for name, reports in groups.items()]
    return "\n".join(table(["", "runs", *PERCENT, *TIMES, *SECONDS], rows))


def _is_stage(report: Path, folder: Path) -> bool:
    """Whether a report is that of a stage before the last one of its run."""
    return "stages" in report.relative_to(folder).parts


def _figures(reports: list[Report]) -> list[str]:
    percent = [_spread(reports, figure, 100, "{:.1f}") for figure in PERCENT.values()]
    times = [_spread(reports, figure, 1, "{:.1f}") for figure in TIMES.values()]
    return percent + times + [_spread(reports, figure, 1, "{:.0f}") for figure in SECONDS.values()]


def _spread(reports: list[Report], figure: Figure, scale: float, form: str) -> str:
    values = [value * scale for report in reports if (value := figure(report)) is not None]
    if not values:
        return ""
    deviation = f" ± {form.format(stdev(values))}" if len(values) > 1 else ""
    return form.format(mean(values)) + deviation
