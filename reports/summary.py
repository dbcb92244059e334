"""Many runs in one table: those that differ in nothing but their seed are averaged."""

from collections.abc import Iterable
from pathlib import Path

from reports.groups import FIGURES, Group, Spread, grouped
from reports.runs import read_runs
from reports.tables import table

COLUMNS = {  # figure: its title, a factor, and its form
    "baseline": ("baseline", 100, "{:.1f}"),
    "score": ("student", 100, "{:.1f}"),
    "gain": ("gain", 100, "{:.1f}"),
    "retention": ("retention", 100, "{:.1f}"),
    "compression": ("smaller", 1, "{:.1f}"),
    "speedup_1": ("faster, batch 1", 1, "{:.1f}"),
    "speedup_32": ("faster, batch 32", 1, "{:.1f}"),
    "seconds": ("distillation, s", 1, "{:.0f}"),
}


def summary(folders: Iterable[Path]) -> str:
    """A row for each set of overrides: mean ± standard deviation over its runs.

    Args:
        folders: run folders, or folders of them at any depth.
    """
    rows = [[group.name, str(len(group.runs)), *_figures(group)] for group in grouped(read_runs(folders))]
    return "\n".join(table(["", "runs", *(title for title, _, _ in COLUMNS.values())], rows))


def _figures(group: Group) -> list[str]:
    return [in_words(group.spread(FIGURES[name]), factor, form) for name, (_, factor, form) in COLUMNS.items()]


def in_words(spread: Spread | None, factor: float, form: str) -> str:
    """`76.7 ± 0.1`; nothing where nothing was measured."""
    if spread is None:
        return ""
    deviation = "" if spread.deviation is None else f" ± {form.format(spread.deviation * factor)}"
    return form.format(spread.mean * factor) + deviation
