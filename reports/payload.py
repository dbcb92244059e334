"""What the page is made of: runs, groups and what can be compared, as JSON."""

from typing import Any

from reports.choices import measured_on, text
from reports.curves import curves
from reports.groups import FIGURES, Group, Spread, of_role
from reports.leaderboard import Leaderboard
from reports.runs import Run, stages

POINTS, MOST, FEWEST = 100_000, 200, 8  # of all learning curves together; of one
ROLES = ("teacher", "baseline")


def payload(board: Leaderboard) -> dict[str, Any]:
    """Everything that the page shows.

    The config of the first run is told in full, that of any other by what differs from it; None is no such key.
    """
    places = {run.folder: number for number, run in enumerate(board.runs)}
    base = _texts(board.runs[0])
    points = max(FEWEST, min(MOST, POINTS // (12 * len(board.runs))))
    return {
        "comparisons": [_comparison(board, name) for name in sorted(set(board.names.values()))],
        "keys": board.keys,
        "base": base,
        "groups": [_group(board, group, places) for group in board.groups],
        "runs": [_run(board, run, base, points) for run in board.runs],
    }


def _comparison(board: Leaderboard, name: str) -> dict[str, Any]:
    groups = [group for group in board.groups if board.comparison(group) == name]
    varying, first = board.varying(groups), groups[0].runs[0]
    same = {key: value for key, value in board.chosen(first).items() if key not in varying}
    report = first.report
    return {
        "name": name,
        "metric": report["metric"],
        "split": str(report.get("split")),
        "varying": varying,
        "same": same,
    }


def _group(board: Leaderboard, group: Group, places: dict[Any, int]) -> dict[str, Any]:
    return {
        "name": group.name,
        "comparison": board.comparison(group),
        "choices": board.chosen(group.runs[0]),
        "runs": [places[run.folder] for run in group.runs],
        "figures": {name: _spread(group.spread(reading)) for name, reading in FIGURES.items()},
        **{role: _others(group, role) for role in ROLES},
    }


def _others(group: Group, role: str) -> dict[str, float] | None:
    """The mean figures of teacher or baseline, where there is one."""
    spreads = {name: group.spread(reading) for name, reading in of_role(role).items()}
    found = {name: spread.mean for name, spread in spreads.items() if spread}
    return found if "score" in found else None


def _spread(spread: Spread | None) -> dict[str, Any] | None:
    if spread is None:
        return None
    return {"mean": spread.mean, "deviation": spread.deviation, "interval": spread.interval, "count": spread.count}


def _run(board: Leaderboard, run: Run, base: dict[str, str], points: int) -> dict[str, Any]:
    config = _texts(run)
    return {
        "name": board.short[run.folder],
        "folder": str(run.folder),
        "state": run.state,
        "reason": run.reason,
        "comparison": board.names[measured_on(run)] if run.report else None,
        "seed": run.seed,
        "choices": board.chosen(run),
        "changed": {key: config.get(key) for key in base | config if config.get(key) != base.get(key)},
        "figures": {name: reading(run.report) for name, reading in FIGURES.items()},
        "exits": {name: figures["score"] for name, figures in (run.report.get("exits") or {}).items()},
        "stages": [{"name": stage.folder.name, "state": stage.state} for stage in stages(run)],
        "command": run.command,
        "curves": {
            name: [*zip(*curve, strict=True), total] for name, (curve, total) in curves(run.folder, points).items()
        },
    }


def _texts(run: Run) -> dict[str, str]:
    return {key: text(value) for key, value in run.config.items()}
