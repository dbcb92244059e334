"""The learning curves of a run: what its `metrics.csv` says by step, thinned out."""

import csv
import math
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

STEP = "step"
ASIDE = {STEP, "epoch"}
Curve = list[tuple[int, float]]


def curves(folder: Path, points: int) -> dict[str, Curve]:
    """Step and value of every figure, by its name.

    Args:
        folder: of the run; parts from before an interruption come first.
        points: at most so many of each, the first and the last among them.
    """
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for path in metrics_files(folder):
        with suppress(OSError, csv.Error), path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file):
                _add(row, found)
    return {name: _thinned(sorted(values.items()), points) for name, values in sorted(found.items())}


def metrics_files(folder: Path) -> list[Path]:
    """`metrics-1.csv`, `metrics-2.csv`, … and `metrics.csv`, where they are there."""
    earlier = sorted(folder.glob("metrics-*.csv"), key=lambda path: (len(path.name), path.name))
    return [path for path in [*earlier, folder / "metrics.csv"] if path.exists()]


def _add(row: dict[str, str], found: dict[str, dict[int, float]]) -> None:
    step = _number(row.get(STEP))
    for name, cell in row.items():
        value = _number(cell)
        if step is not None and value is not None and name and name not in ASIDE:
            found[name][int(step)] = float(f"{value:.4g}")


def _number(cell: object) -> float | None:
    """None of what is no finite number, such as a cell that was cut off."""
    try:
        value = float(str(cell))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _thinned(curve: Curve, points: int) -> Curve:
    if len(curve) <= points:
        return curve
    return [curve[round(index * (len(curve) - 1) / (points - 1))] for index in range(points)]
