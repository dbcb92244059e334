"""What a search chooses from, in Hydra's own words: `student=bilstm,cnn_lstm`, `student.dropout=interval(0.1,0.5)`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

STUDENT = "student"
Choices = Mapping[str, BaseDistribution | str]  # by key of an override; a text is no choice


@dataclass(frozen=True)
class Space:
    """What every student is chosen by, and what one student alone has.

    Args:
        shared: of every candidate.
        own: of the candidates with a student, by its name.
    """

    shared: Choices
    own: Mapping[str, Choices]

    def overrides(self, trial: Trial) -> list[str]:
        """The overrides of one candidate, as the trial suggests."""
        values = {key: _suggested(trial, key, choices) for key, choices in self.shared.items()}
        name = values.get(STUDENT, "")
        own = {key: _suggested(trial, f"{key} of {name}", each) for key, each in self.own.get(name, {}).items()}
        return [f"{key}={value}" for key, value in {**values, **own}.items()]

    def of_student(self, name: str) -> Choices:
        """All choices where the student is this one."""
        return {**self.shared, STUDENT: name, **self.own.get(name, {})}

    @property
    def students(self) -> list[str]:
        """The names of the students."""
        choices = self.shared.get(STUDENT, "")
        return list(map(str, choices.choices)) if isinstance(choices, CategoricalDistribution) else [str(choices)]

    def __str__(self) -> str:
        return f"{dict(self.shared)} {dict(self.own)}"


def space_of(
    shared: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]], arguments: Sequence[str], parser: OverridesParser
) -> Space:
    """The space of a config, where the command line has the last word.

    Args:
        shared, own: keys of overrides and what may stand behind the `=`; `own` by student.
        arguments: of the command line.
        parser: Hydra's.

    Raises:
        HydraException: something is not in Hydra's words.
    """
    asked = _parsed(arguments, parser)
    found = {key: each for key, each in asked.items() if not _is_about_the_search(key)}
    students = {
        name: {key: each for key, each in _parsed(_lines(some), parser).items() if key not in found}
        for name, some in own.items()
    }
    return Space({**_parsed(_lines(shared), parser), **found}, students)


def _lines(choices: Mapping[str, Any]) -> list[str]:
    return [f"{key}={value}" for key, value in choices.items()]


def _is_about_the_search(key: str) -> bool:
    return key == "hparams_search" or key.split(".")[0] == "budget"


def _parsed(lines: Sequence[str], parser: OverridesParser) -> dict[str, BaseDistribution | str]:
    return {each.get_key_element(): _choices(each) for each in parser.parse_overrides(list(lines))}


def _choices(override: Override) -> BaseDistribution | str:
    if not override.is_sweep_override():
        return str(override.get_value_element_as_str())
    if override.is_discrete_sweep():
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    sweep = override.value()
    assert isinstance(sweep, IntervalSweep)
    assert sweep.start is not None
    assert sweep.end is not None
    logarithmic = "log" in sweep.tags
    if isinstance(sweep.start, int) and isinstance(sweep.end, int):
        return IntDistribution(sweep.start, sweep.end, log=logarithmic)
    return FloatDistribution(sweep.start, sweep.end, log=logarithmic)


def _suggested(trial: Trial, name: str, choices: BaseDistribution | str) -> str:
    match choices:
        case CategoricalDistribution():
            return str(trial.suggest_categorical(name, choices.choices))
        case IntDistribution():
            return str(trial.suggest_int(name, choices.low, choices.high, log=choices.log))
        case FloatDistribution():
            return f"{trial.suggest_float(name, choices.low, choices.high, log=choices.log):.4g}"
        case _:
            return str(choices)
