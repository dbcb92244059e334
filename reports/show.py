"""One run at the terminal, or two side by side."""

import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from potstill.errors import UserError
from reports.choices import choices, measured_on, text
from reports.curves import last_step
from reports.groups import FIGURES
from reports.run_report import as_markdown
from reports.runs import DONE, Run, read, run_folders, stages
from reports.tables import in_words, table

SCORES = ("score", "baseline", "gain")
FORMS: dict[str, Callable[[float], str]] = {
    "retention": "{:.1%}".format,
    "parameters": "{:,.0f}".format,
    "seconds": "{:.0f}".format,
}


def run_at(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        UserError: there is none.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    if next(run_folders(folder), None) != folder:
        raise UserError(f"{folder}: no run folder (it has no config.yaml); say one run, such as {folder}/0")
    return read(folder)


def show(folder: Path) -> str:
    """What a run is, where it stands, its stages, and its report where it has ended.

    Raises:
        UserError: there is no run in the folder.
    """
    run = run_at(folder)
    lines = [f"{run.folder}: {standing(run)}", ""]
    lines += [f"{key:12} {value}" for key, value in choices(run).items()]
    lines += [f"{'seed':12} {run.seed}"] if run.seed else []
    lines += [f"{'stage':12} {stage.folder.name}: {standing(stage)}" for stage in stages(run)]
    command = run.command or "the command is not known: there is no overrides.yaml that can be read"
    return "\n".join([*lines, "", _report(run) if run.state == DONE else f"    {command}\n"])


def standing(run: Run) -> str:
    """Done with its score, failed with its reason, or how far it has come."""
    if run.state == DONE:
        return f"done, {run.report['metric']} {in_words(run.report['student']['score'], run.report['metric'])}"
    if run.reason:
        return f"{run.state}: {run.reason}"
    go_on = shlex.join(["python", "train.py", f"resume={run.folder}"])
    begun = last_step(run.folder) or "nothing measured yet"
    return f"{run.state}, {begun}; if it is no longer running, go on with {go_on}"


def compare(first: Path, second: Path) -> str:
    """The figures of two runs side by side with their differences, then where their configs differ.

    Raises:
        UserError: there is no run in one of the folders.
    """
    runs = (run_at(first), run_at(second))
    parts = [f"{name}: {run.folder}: {standing(run)}" for name, run in zip("AB", runs, strict=True)]
    if all(run.report for run in runs):
        parts += ["", *_figures(*runs)]
        if measured_on(runs[0]) != measured_on(runs[1]):
            parts += ["", "The scores are of different data or metrics: their difference says nothing."]
    return "\n".join([*parts, "", *_differences(*runs)]) + "\n"


def _report(run: Run) -> str:
    try:
        return as_markdown(run.report)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # of an earlier version, or somebody else's
        what = f"no {error.args[0]}" if isinstance(error, KeyError) else error
        raise UserError(f"{run.folder}/report.json: {what}") from None


def _figures(first: Run, second: Run) -> list[str]:
    rows = []
    for name, reading in FIGURES.items():
        a, b = reading(first.report), reading(second.report)
        form = partial(in_words, metric=first.report["metric"]) if name in SCORES else FORMS.get(name, "{:.2f}".format)
        change = "" if a is None or b is None else ("+" if b > a else "") + form(b - a).lstrip("+")
        rows.append(
            [name.replace("_", ", batch "), *("" if value is None else form(value) for value in (a, b)), change]
        )
    return table(["", "A", "B", "B - A"], rows)


def _differences(first: Run, second: Run) -> list[str]:
    keys = dict.fromkeys([*first.config, *second.config])
    rows = [[key, *(_value(run.config, key) for run in (first, second))] for key in keys]
    differing = [row for row in rows if row[1] != row[2] and row[0] != "run_dir"]
    return table(["config", "A", "B"], differing) if differing else ["The configs are the same."]


def _value(config: dict[str, Any], key: str) -> str:
    return text(config[key]) if key in config else "-"
