"""Seconds of all sides against epochs, a panel a cell."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullLocator

if TYPE_CHECKING:
    from bench.table import Cell, Results

COLUMNS = 2
STYLES = {"potstill": ("tab:red", "-"), "bare": ("black", ":"), "textbrewer": ("tab:blue", "--")}
STYLES |= {"torchdistill": ("tab:green", "--"), "hugging": ("tab:orange", "-.")}
MARKERS = "osD^vx"


def draw(results: "Results", names: Mapping[str, str], path: Path) -> None:
    """Draw a line a side in each panel, both axes logarithmic."""
    rows = -(-len(results.cells) // COLUMNS)
    figure = Figure(figsize=(11, 3.4 * rows + 1), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True).flat
    markers = {side: MARKERS[number % len(MARKERS)] for number, side in enumerate(names)}
    for cell, panel in zip(results.cells, panels, strict=False):
        for side, name in names.items():
            _line(panel, results, cell, side, name, markers[side])
        teacher, student, terms = cell
        panel.set(title=f"{student} ← {teacher}, {terms}", xscale="log", yscale="log")
        panel.set(xlabel="epochs", ylabel="seconds")
        panel.set_xticks(results.epochs, labels=[str(epochs) for epochs in results.epochs])
        panel.xaxis.set_minor_locator(NullLocator())
        for which in ("major", "minor"):
            getattr(panel.yaxis, f"set_{which}_formatter")(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
        panel.grid(alpha=0.3)
    for panel in list(figure.axes)[len(results.cells) :]:
        panel.remove()
    handles = {
        text: line for panel in figure.axes for line, text in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize="small")
    figure.savefig(path, dpi=110)


def _line(panel: Any, results: "Results", cell: "Cell", side: str, name: str, marker: str) -> None:
    points = [(epochs, results.seconds(cell, epochs, side)) for epochs in results.epochs]
    found = [(epochs, value) for epochs, value in points if value is not None]
    if found:
        color, style = STYLES[side.split("_")[0]]
        panel.plot(*zip(*found, strict=True), color=color, linestyle=style, marker=marker, markersize=4, label=name)
