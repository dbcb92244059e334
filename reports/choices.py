"""What was chosen for a run, and which runs can be compared."""

import json
import re
from collections.abc import Sequence
from typing import Any

from reports.runs import Run

NAMED = ("student", "scheme", "kd", "teacher", "data", "experiment", "optimizer")
PLACES = ("run_dir", "cache_dir", "stages_dir", "resume", "plan", "explain", "logger", "launcher", "callbacks")
SILENT = ("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.log_every_n_steps")
# What of the data leaves the test rows as they are.
SETTINGS = ("augmentation", "batch_size", "eval_batch_size", "workers", "max_length", "on_error")
TRAINING = (*SETTINGS, "train", "unlabelled", "split.labelled_rows")


def matters(key: str) -> bool:
    """Whether a key can change what comes out, apart from chance: not the seed, not a place."""
    key = key.lstrip("+~")
    return key not in SILENT and re.split(r"[@./]", key)[0] not in ("seed", "hydra", "sweep", *PLACES)


def said(run: Run) -> dict[str, str]:
    """The overrides that matter, by key."""
    pairs = (word.partition("=")[::2] for word in run.overrides)
    return {key.lstrip("+"): value for key, value in pairs if matters(key)}


def choices(run: Run) -> dict[str, str]:
    """The value of every choice, by key.

    A run folder from before choices were written down holds no names of those that nobody made: they are `default`, or
    of a run of `experiment=sample`, which may have made them, `in sample`.
    """
    spoken = said(run)
    written = {key: str(run.choices[key] or "none") for key in NAMED if key in run.choices}
    unsaid = f"in {spoken['experiment']}" if "experiment" in spoken else "default"
    named = dict.fromkeys(NAMED, unsaid) | {"kd": _terms(run) or unsaid, "experiment": "none"} | written
    return named | {key: setting(run, key) or _listed(value) for key, value in spoken.items()}


def setting(run: Run, key: str) -> str:
    """A choice that others made and this run did not; empty where it has none."""
    if key in run.choices:
        return str(run.choices[key] or "none")
    return text(run.config[key]) if key in run.config else ""


def text(value: Any) -> str:
    """A value of the config in words."""
    return value if isinstance(value, str) else json.dumps(value)


def measured_on(run: Run) -> tuple[str, ...]:
    """What two runs whose scores can be compared share: task, metric, split, and where the test rows come from."""
    rows = {key: value for key, value in run.config.items() if key.startswith("data.") and _of_test(key, run)}
    report = run.report
    return (str(report.get("task")), report["metric"], str(report.get("split")), json.dumps(rows, sort_keys=True))


def comparison_names(runs: Sequence[Run]) -> dict[tuple[str, ...], str]:
    """A name for each set of runs that can be compared, such as `rotten_tomatoes, accuracy`."""
    first = {measured_on(run): run for run in reversed(runs)}
    plain = {key: f"{_data(run)}, {run.report['metric']}" for key, run in first.items()}
    return {key: name + _apart(key, [other for other in plain if plain[other] == name]) for key, name in plain.items()}


def _apart(key: tuple[str, ...], alike: list[tuple[str, ...]]) -> str:
    """What tells one of several of the same name: values that differ, or its number."""
    values = [json.loads(other[-1]) for other in alike]
    mine = json.loads(key[-1])
    differing = [name for name in mine if any(other.get(name) != mine[name] for other in values)]
    if len(alike) == 1:
        return ""
    shown = ", ".join(f"{name.removeprefix('data.')}={text(mine[name])}" for name in differing[:2])
    return f" ({shown or f'no. {alike.index(key) + 1}'})"


def _of_test(key: str, run: Run) -> bool:
    inner = key.removeprefix("data.")
    cut_off = inner == "train" and run.config.get("data.test") is None  # then the test rows come from there
    return cut_off or not any(inner == name or inner.startswith(f"{name}.") for name in TRAINING)


def _data(run: Run) -> str:
    return choices(run)["data"]


def _listed(value: str) -> str:
    """`[a,b]` as `a + b`."""
    return " + ".join(part.strip() for part in value[1:-1].split(",")) if value.startswith("[") else value


def _terms(run: Run) -> str:
    """The terms of the config, where nobody named the files that they are from."""
    return " + ".join(dict.fromkeys(key.split(".")[2] for key in run.config if key.startswith("kd.terms.")))
