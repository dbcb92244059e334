"""All runs, ranked where they can be compared; as csv, Markdown and JSON."""

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from potstill.errors import UserError
from reports.choices import NAMED, choices, comparison_names, matters, measured_on, setting
from reports.groups import FIGURES, Group, grouped
from reports.runs import DONE, Run, read_runs
from reports.tables import table

Rows = list[dict[str, Any]]

COLUMNS = {  # figure: title in Markdown, a factor, decimals
    "score": ("score", 100, 1),
    "gain": ("gain", 100, 1),
    "retention": ("retention", 100, 1),
    "latency_1": ("ms, batch 1", 1, 2),
    "latency_32": ("ms, batch 32", 1, 1),
    "megabytes": ("megabytes", 1, 1),
    "parameters": ("parameters, M", 1e-6, 1),
}


class Leaderboard:
    """The runs at or below some folders.

    Args:
        folders: run folders, or folders of them at any depth.

    Raises:
        UserError: there is no run.
    """

    def __init__(self, folders: Iterable[Path]):
        self.folders = list(folders)
        self.runs = read_runs(self.folders)
        if not self.runs:
            raise UserError(f"{', '.join(map(str, self.folders))}: no runs (a run folder holds a config.yaml)")
        done = [run for run in self.runs if run.state == DONE]
        self.names = comparison_names(done)
        self.groups = sorted(grouped(done), key=lambda group: (self.comparison(group), -_mean(group, "score")))
        self.short = short_names([run.folder for run in self.runs])
        self.asked = {run.folder: choices(run) for run in self.runs}
        keys = dict.fromkeys(key for asked in self.asked.values() for key in asked)
        self.keys = [*NAMED, *sorted(set(keys) - set(NAMED))]
        self.keys += sorted(self._untold() - set(self.keys))

    def _untold(self) -> set[str]:
        """The keys of the config that tell apart groups of the same choices."""
        alike: dict[tuple[str, ...], list[Run]] = defaultdict(list)
        for group in self.groups:
            alike[self.comparison(group), *self.chosen(group.runs[0]).values()].append(group.runs[0])
        of_several = [runs for runs in alike.values() if len(runs) > 1]
        return {key for runs in of_several for key in _differing(runs)}

    def comparison(self, group: Group) -> str:
        """The name of the set of runs whose scores can be compared with these."""
        return self.names[measured_on(group.runs[0])]

    def chosen(self, run: Run) -> dict[str, str]:
        """Every choice that any run makes, as this run has it."""
        asked = self.asked[run.folder]
        return {key: asked.get(key) or setting(run, key) or "default" for key in self.keys}

    def varying(self, groups: Sequence[Group]) -> list[str]:
        """The choices that are not the same in all of the groups."""
        chosen = [self.chosen(group.runs[0]) for group in groups]
        return [key for key in self.keys if len({one[key] for one in chosen}) > 1]

    def unranked(self) -> list[Run]:
        """The runs that failed or have not ended."""
        return [run for run in self.runs if run.state != DONE]


def _differing(runs: list[Run]) -> list[str]:
    keys = {key for run in runs for key in run.config if matters(key)}
    return [key for key in keys if len({setting(run, key) for run in runs}) > 1]


def short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """The last two parts of each path, or as many more as tell all of them apart."""
    count, parts = 2, {folder: folder.absolute().parts for folder in folders}
    while len({some[-count:] for some in parts.values()}) < len(folders):
        count += 1
    return {folder: "/".join(some[-count:]) for folder, some in parts.items()}


def rows(board: Leaderboard) -> Rows:
    """A row for each group and for each run that failed or has not ended; empty cells are None."""
    found = [_row(board, group.runs[0], "done") | _measured(board, group) for group in board.groups]
    return found + [_row(board, run, run.state) | {"folders": [str(run.folder)]} for run in board.unranked()]


def as_csv(board: Leaderboard) -> str:
    """The rows with a header."""
    file, found = io.StringIO(), rows(board)
    writer = csv.DictWriter(file, list(dict.fromkeys(key for row in found for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _listed(value) for key, value in row.items()} for row in found)
    return file.getvalue()


def _listed(cell: Any) -> Any:
    return ";".join(cell) if isinstance(cell, list) else cell


def as_json(board: Leaderboard) -> str:
    """The rows as a list of objects."""
    return json.dumps(rows(board), indent=2, allow_nan=False) + "\n"


def as_markdown(board: Leaderboard) -> str:
    """A table for each set of runs that can be compared, then what failed or has not ended."""
    parts = []
    for name in sorted(set(board.names.values())):
        parts += [f"## {name}", "", *_table(board, [one for one in board.groups if board.comparison(one) == name]), ""]
    if unranked := board.unranked():
        parts += ["## Failed, pruned and unfinished", ""]
        parts += [f"- {run.folder}: {run.state}{run.reason and f': {run.reason}'}" for run in unranked]
    return "\n".join(parts).rstrip() + "\n"


ROWS: dict[str, Callable[[Leaderboard], str]] = {"csv": as_csv, "md": as_markdown, "json": as_json}


def _table(board: Leaderboard, groups: list[Group]) -> list[str]:
    keys = board.varying(groups) or ["student"]
    titles = [title for title, _, _ in COLUMNS.values()]
    lines = []
    for group in groups:
        chosen = board.chosen(group.runs[0])
        cells = [_cell(group, name) for name in COLUMNS]
        lines.append([*(chosen[key].replace("|", "\\|") for key in keys), str(len(group.runs)), *cells])
    return table([*keys, "runs", *titles], lines)


def _cell(group: Group, name: str) -> str:
    """`76.7 ± 0.1`, and of a gain over several seeds its interval, `[74.9, 78.5]`."""
    _, factor, decimals = COLUMNS[name]
    said, spread = group.in_words(name, factor, decimals), group.spread(FIGURES[name])
    if name != "gain" or not spread or not spread.interval:
        return said
    low, high = spread.interval
    return f"{said} [{low * factor:.{decimals}f}, {high * factor:.{decimals}f}]"


def _row(board: Leaderboard, run: Run, state: str) -> dict[str, Any]:
    report = run.report
    of = {"comparison": board.names[measured_on(run)] if report else None, "state": state, "reason": run.reason or None}
    split = str(report.get("split")) if report else None
    return of | {"metric": report.get("metric"), "split": split} | board.chosen(run)


def _measured(board: Leaderboard, group: Group) -> dict[str, Any]:
    found: dict[str, Any] = {"runs": len(group.runs), "seeds": [seed or "?" for seed in group.seeds]}
    for name, reading in FIGURES.items():
        spread = group.spread(reading)
        found |= {name: spread and spread.mean, f"{name}_deviation": spread and spread.deviation}
        if name == "gain":
            low, high = (spread and spread.interval) or (None, None)
            found |= {"gain_low": low, "gain_high": high, "gain_count": spread and spread.count}
    return found | {"folders": [str(run.folder) for run in group.runs]}


def _mean(group: Group, name: str) -> float:
    spread = group.spread(FIGURES[name])
    return spread.mean if spread else 0.0
