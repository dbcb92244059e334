"""`python -m search.wandb [OVERRIDES]` writes sweeps for Weights & Biases out of the same choices as the search's.

Their agents know no choice that only one student has: so each student gets a sweep of its own.
"""

import sys
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from kd.plan import make_plan
from potstill.errors import UserError
from potstill.terminal import quiet
from search.space import Space, is_about_the_search, space_of

CONF = Path(__file__).parent.parent / "conf"
SEARCH = "hparams_search=budget"
PRUNING = "callbacks"  # theirs takes the place of ours


def main(arguments: list[str]) -> None:
    """Write a file for each student into the working directory.

    Raises:
        UserError: a run of the space's first choices cannot be.
        HydraException: something is not in Hydra's words.
    """
    parser = OverridesParser.create()
    quiet()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        words = zip(arguments, parser.parse_overrides(arguments), strict=True)
        of_the_search = [argument for argument, word in words if is_about_the_search(word)]
        named = any(line.startswith("hparams_search=") for line in of_the_search)
        settings = compose("train", overrides=of_the_search if named else [SEARCH, *of_the_search]).budget
        space = space_of(settings.space, settings.sizes, arguments, parser)
        fixed = [f"{key}={value}" for key, value in space.shared.items() if isinstance(value, str) and _is_kept(key)]
        metric = make_plan(compose("train", overrides=fixed)).task.metric
    for student in space.students:
        path = Path(f"wandb-{student}.yaml")
        path.write_text(yaml.safe_dump(as_sweep(space, student, metric), sort_keys=False), encoding="utf-8")
        print(f"{path}: wandb sweep {path}")


def as_sweep(space: Space, student: str, metric: str) -> dict[str, Any]:
    """The sweep of one student as Weights & Biases read it.

    Args:
        space: what there is to choose.
        student: its name.
        metric: of the task.
    """
    choices = {key: value for key, value in space.of_student(student).items() if _is_kept(key)}
    fixed = [f"{key}={value}" for key, value in choices.items() if isinstance(value, str)]
    parameters = {key: _parameter(value) for key, value in choices.items() if not isinstance(value, str)}
    program = ["${env}", "${interpreter}", "${program}", "logger=[csv,wandb]", *fixed, "${args_no_hyphens}"]
    return {
        "program": "train.py",
        "method": "bayes",
        "metric": {"name": f"val/{metric}", "goal": "maximize"},
        "early_terminate": {"type": "hyperband", "min_iter": 1},
        "parameters": parameters,
        "command": program,
    }


def _is_kept(key: str) -> bool:
    return key.split(".")[0] != PRUNING


def _parameter(choices: BaseDistribution) -> dict[str, Any]:
    match choices:
        case CategoricalDistribution():
            return {"values": list(choices.choices)}
        case IntDistribution():
            return {"distribution": "int_uniform", "min": choices.low, "max": choices.high}
        case FloatDistribution():
            kind = "log_uniform_values" if choices.log else "uniform"
            return {"distribution": kind, "min": choices.low, "max": choices.high}
    raise AssertionError(choices)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (UserError, HydraException) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
