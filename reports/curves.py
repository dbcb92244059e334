"""The learning curves of a run: what its `metrics.csv` says by step, thinned out."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

STEP = "step"
ASIDE = {STEP, "epoch"}
# A name without one of these in front is of a part of the run, such as its baseline.
OWN = {"train", "val"}


class Curve(NamedTuple):
    """Step and value of a figure.

    Args:
        points: some of all, the first, the last, the least and the greatest among them.
        total: how many there are.
    """

    points: list[tuple[int, float]]
    total: int


def curves(folder: Path, points: int) -> dict[str, Curve]:
    """Every figure by its name.

    Args:
        folder: of the run; parts from before an interruption come first.
        points: at most so many of each, and at least four.
    """
    return _curves(folder, points, metrics_stamp(folder))


@lru_cache(maxsize=10_000)
def _curves(folder: Path, points: int, _stamp: tuple[int, ...]) -> dict[str, Curve]:
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for row in _rows(folder):
        _add(row, found)
    return {name: _thinned(sorted(values.items()), points) for name, values in sorted(found.items())}


def last_step(folder: Path) -> str:
    """What was measured last, such as `baseline, step 50`; empty where nothing was."""
    place = ""
    for row in _rows(folder):
        named = [name for name, cell in row.items() if cell and name and not name.startswith("lr-")]
        parts = {name.partition("/")[0] for name in named if "/" in name}
        if parts and (step := _number(row.get(STEP))) is not None:
            place = ", ".join([*sorted(parts - OWN), f"step {int(step) + 1}"])
    return place


def metrics_stamp(folder: Path) -> tuple[int, ...]:
    """Changes when one of the files does."""
    states = [path.stat() for path in _files(folder)]
    return tuple(number for state in states for number in (state.st_mtime_ns, state.st_size))


def _rows(folder: Path) -> Iterator[dict[str, str]]:
    for path in _files(folder):
        with suppress(OSError, csv.Error), path.open(encoding="utf-8", errors="replace", newline="") as file:
            yield from csv.DictReader(file)


def _files(folder: Path) -> list[Path]:
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


def _thinned(curve: list[tuple[int, float]], points: int) -> Curve:
    if len(curve) <= points:
        return Curve(curve, len(curve))
    values = [value for _, value in curve]
    even = {round(index * (len(curve) - 1) / (points - 3)) for index in range(points - 2)}
    kept = even | {values.index(min(values)), values.index(max(values))}
    return Curve([curve[index] for index in sorted(kept)], len(curve))
