"""Runs that differ in nothing but their seed, as one: mean, standard deviation, and how sure the gain is."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from scipy.special import stdtrit

from reports.choices import matters, measured_on, said, text
from reports.runs import DONE, Run

Report = dict[str, Any]
Reading = Callable[[Report], float | None]


def _of(role: str, name: str, batch: str = "") -> Reading:
    def read(report: Report) -> float | None:
        figures = report.get(role)
        value = figures and figures.get(name)
        return value.get(batch) if value and batch else value

    return read


def _top(name: str, batch: str = "") -> Reading:
    return lambda report: (report.get(name) or {}).get(batch) if batch else report.get(name)


def of_role(role: str) -> dict[str, Reading]:
    """How good, fast and small one of the models is."""
    return {
        "score": _of(role, "score"),
        "latency_1": _of(role, "latency_ms", "1"),
        "latency_32": _of(role, "latency_ms", "32"),
        "megabytes": _of(role, "megabytes"),
        "parameters": _of(role, "parameters"),
    }


FIGURES: dict[str, Reading] = of_role("student") | {
    "baseline": _of("baseline", "score"),
    "gain": _top("kd_gain"),
    "retention": _top("retention"),
    "compression": _top("compression"),
    "speedup_1": _top("speedup", "1"),
    "speedup_32": _top("speedup", "32"),
    "seconds": _top("distill_seconds"),
}


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds; of one seed no deviation.

    Args:
        mean: over the seeds.
        deviation: standard deviation, None where there is one seed.
        count: seeds.
    """

    mean: float
    deviation: float | None
    count: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % of the mean, by Student's t; None of one seed."""
        if self.deviation is None:
            return None
        half = float(stdtrit(self.count - 1, 0.975)) * self.deviation / math.sqrt(self.count)
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed."""

    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """What the command line said, apart from seed and places."""
        return " ".join(f"{key}={value}" for key, value in said(self.runs[0]).items()) or "defaults"

    @property
    def seeds(self) -> list[str | None]:
        return [run.seed for run in self.runs]

    def spread(self, reading: Reading) -> Spread | None:
        """Of a figure over the seeds; None where no run has it. Runs that repeat a seed count once, by their mean."""
        by_seed = defaultdict(list)
        for number, run in enumerate(self.runs):
            if (value := reading(run.report)) is not None:
                by_seed[run.seed or f"run {number}"].append(value)
        values = [mean(some) for some in by_seed.values()]
        return Spread(mean(values), stdev(values) if len(values) > 1 else None, len(values)) if values else None

    def in_words(self, name: str, factor: float, decimals: int) -> str:
        """`76.7 ± 0.1`, over fewer seeds than runs `76.7 ± 0.1 (n=2)`; empty where nothing was measured."""
        if (spread := self.spread(FIGURES[name])) is None:
            return ""
        deviation = "" if spread.deviation is None else f" ± {spread.deviation * factor:.{decimals}f}"
        count = "" if spread.count == len(self.runs) else f" (n={spread.count})"
        return f"{spread.mean * factor:.{decimals}f}{deviation}{count}"


def grouped(runs: Iterable[Run]) -> list[Group]:
    """The runs that have ended, by what they were asked to do and what they were measured on."""
    groups: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        if run.state == DONE:
            groups[*measured_on(run), _asked(run)].append(run)
    return [Group(tuple(some)) for some in groups.values()]


def _asked(run: Run) -> str:
    """The config apart from seed and places; the overrides where there is no config."""
    values = {key: value for key, value in run.config.items() if matters(key)}
    return text(dict(sorted((values or said(run)).items())))
