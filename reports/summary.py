"""Many runs in one table: those that differ in nothing but their seed are averaged."""

from collections.abc import Iterable
from pathlib import Path

from reports.groups import Group, grouped
from reports.runs import DONE, read_runs
from reports.tables import table

COLUMNS = {  # figure: its title, a factor, decimals
    "baseline": ("baseline", 100, 1),
    "score": ("student", 100, 1),
    "gain": ("gain", 100, 1),
    "retention": ("retention", 100, 1),
    "compression": ("smaller", 1, 1),
    "speedup_1": ("faster, batch 1", 1, 1),
    "speedup_32": ("faster, batch 32", 1, 1),
    "seconds": ("distillation, s", 1, 0),
}


def summary(folders: Iterable[Path]) -> str:
    """A row for each set of overrides: mean ± standard deviation over its runs; then how many have no figures.

    Args:
        folders: run folders, or folders of them at any depth.
    """
    runs = read_runs(folders)
    rows = [[group.name, str(len(group.runs)), *_figures(group)] for group in grouped(runs)]
    lines = table(["", "runs", *(title for title, _, _ in COLUMNS.values())], rows)
    if left_out := sum(run.state != DONE for run in runs):
        lines += ["", f"Left out, as they failed, were pruned or have not ended: {left_out}."]
    return "\n".join(lines)


def _figures(group: Group) -> list[str]:
    return [group.in_words(name, factor, decimals) for name, (_, factor, decimals) in COLUMNS.items()]
