"""Numbers that change while a run goes on: the weight of a term, or its temperature."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from kd.moment import Moment
from potstill.errors import UserError


@dataclass(frozen=True)
class Schedule(ABC):
    """A number for each moment of a run.

    Args:
        by: what moves it on: every `step`, or every `epoch`, within which it stays as it is.
    """

    by: Literal["step", "epoch"] = "step"

    def __post_init__(self) -> None:
        if self.by not in ("step", "epoch"):
            raise UserError(f"schedule: by={self.by!r} is neither step nor epoch")

    def __call__(self, moment: Moment) -> float:
        """The number now."""
        done, all_of_them = (moment.update, moment.updates) if self.by == "step" else (moment.epoch, moment.epochs)
        return self.after(min(done / max(all_of_them - 1, 1), 1.0))

    @abstractmethod
    def after(self, share: float) -> float:
        """The number when this share of the run, from 0 to 1, is over."""


@dataclass(frozen=True)
class Constant(Schedule):
    """Always the same.

    Args:
        value: the number.
    """

    value: float = 1.0

    def after(self, share: float) -> float:
        return self.value

    def __str__(self) -> str:
        return f"{self.value:g}"


@dataclass(frozen=True)
class Linear(Schedule):
    """In a straight line from one number to another, level before and after.

    A warm-up goes from 0 to the number within the first tenth: `start: 0`, `finish: 0.1`.

    Args:
        start, end: the numbers.
        begin, finish: the shares of the run at which it leaves the first and reaches the second.
        by: see `Schedule`.
    """

    start: float = 0.0
    end: float = 1.0
    begin: float = 0.0
    finish: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.begin < self.finish <= 1:
            raise UserError(f"schedule: one from {self.begin:g} to {self.finish:g} of the run is none")

    def after(self, share: float) -> float:
        way = min(max((share - self.begin) / (self.finish - self.begin), 0.0), 1.0)
        return self.start + (self.end - self.start) * self.curve(way)

    def curve(self, way: float) -> float:
        """How much of the difference is made after so much of the way."""
        return way

    def __str__(self) -> str:
        way = f"{self.start:g} to {self.end:g}"
        if (self.begin, self.finish) != (0, 1):
            way += f" between {self.begin:.0%} and {self.finish:.0%} of the run"
        return f"{way} ({type(self).__name__.lower()}, by {self.by})"


@dataclass(frozen=True)
class Cosine(Linear):
    """As `Linear`, but gently at both ends: along half a wave of the cosine.

    Args:
        start, end, begin, finish, by: see `Linear`.
    """

    def curve(self, way: float) -> float:
        return (1 - math.cos(math.pi * way)) / 2


@dataclass(frozen=True)
class Piecewise(Schedule):
    """One number after another.

    Args:
        values: the numbers.
        until: the shares of the run at which each but the last gives way to the next.
        by: see `Schedule`.
    """

    values: Sequence[float] = (1.0,)
    until: Sequence[float] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        ordered = all(one < other for one, other in pairwise([0.0, *self.until, 1.0]))
        if len(self.values) != len(self.until) + 1 or not ordered:
            raise UserError(f"schedule: {list(self.values)} until {list(self.until)} is no schedule")

    def after(self, share: float) -> float:
        return self.values[sum(share >= end for end in self.until)]

    def __str__(self) -> str:
        parts = (f"{value:g} until {end:.0%}" for value, end in zip(self.values, self.until, strict=False))
        return f"{', '.join([*parts, f'then {self.values[-1]:g}'])} (by {self.by})"


def schedule_of(value: Any, what: str, zero: bool = True) -> Schedule:
    """The schedule that a setting is: one as it stands, or a number that never changes.

    Args:
        value: of the setting.
        what: it is, for the message.
        zero: whether it may be zero.

    Raises:
        UserError: it is neither, or at some time below zero.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    schedule = Constant(value=value) if number else value
    if isinstance(schedule, Schedule):
        lowest = min(schedule.after(share / 100) for share in range(101))
        if math.isfinite(lowest) and (lowest > 0 or (zero and lowest == 0)):
            return schedule
    said = value if isinstance(schedule, Schedule) else repr(value)
    raise UserError(f"{what} {said} is not {'a number from 0 on' if zero else 'above 0'}")
