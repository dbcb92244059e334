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

from potstill.errors import UserError

STUDENT = "student"
BESIDE = ("launcher", "logger", "quiet")  # of no matter to what a run comes to
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
        lines = [f"{key}: {_in_words(each)}" for key, each in sorted(self.shared.items()) if key not in BESIDE]
        for name in self.students:
            lines += [f"{key} of {name}: {_in_words(each)}" for key, each in sorted(self.own.get(name, {}).items())]
        return "\n".join(lines)


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
        UserError: something cannot be searched.
    """
    words = parser.parse_overrides(list(arguments))
    for word in words:
        if is_about_the_search(word) and word.is_sweep_override():
            raise UserError(f"{word.input_line}: has one value, with a point where it is no whole number")
    found = _parsed([word for word in words if not is_about_the_search(word)])
    students = {
        name: {key: each for key, each in _parsed(_words(some, parser)).items() if key not in found}
        for name, some in own.items()
    }
    return Space({**_parsed(_words(shared, parser)), **found}, students)


def is_about_the_search(override: Override) -> bool:
    """Whether an override is for the search, and not for its runs."""
    return override.key_or_group.split(".")[0] in ("hparams_search", "budget")


def _words(choices: Mapping[str, Any], parser: OverridesParser) -> list[Override]:
    return parser.parse_overrides([f"{key}={value}" for key, value in choices.items()])


def _parsed(overrides: Sequence[Override]) -> dict[str, BaseDistribution | str]:
    return {override.get_key_element(): _choices(override) for override in overrides}


def _choices(override: Override) -> BaseDistribution | str:
    try:
        return _distribution(override)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{override.input_line}: {error}") from error


def _distribution(override: Override) -> BaseDistribution | str:
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


def _in_words(choices: BaseDistribution | str) -> str:
    match choices:
        case CategoricalDistribution():
            return ", ".join(map(str, choices.choices))
        case IntDistribution() | FloatDistribution():
            return f"from {choices.low} to {choices.high}{', logarithmic' if choices.log else ''}"
        case _:
            return str(choices)


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
