"""What was chosen for a run, and which runs can be compared."""

import json
import re
from collections.abc import Sequence
from typing import Any

from reports.runs import OF_A_SEARCH, Run

NAMED = ("student", "scheme", "kd", "teacher", "data", "experiment", "optimizer")
PLACES = ("run_dir", "cache_dir", "stages_dir", "resume", "plan", "explain", "quiet", "logger", "launcher")
SILENT = ("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.log_every_n_steps")
# What of the data leaves the test rows as they are.
SETTINGS = ("augmentation", "batch_size", "eval_batch_size", "workers", "max_length", "on_error")
TRAINING = (*SETTINGS, "temperature", "train", "unlabelled", "split.labelled_rows")


def matters(key: str) -> bool:
    """Whether a key can change what comes out, apart from chance: not the seed, not a place."""
    key = key.lstrip("+~")
    if key in SILENT or key.startswith(OF_A_SEARCH):
        return False
    return re.split(r"[@./]", key)[0] not in ("seed", "hydra", "sweep", *PLACES)


def said(run: Run) -> dict[str, str]:
    """The overrides that matter, by key."""
    words = run.overrides or ()
    pairs = (word.partition("=")[::2] for word in words if not word.startswith(OF_A_SEARCH))
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
    return value if isinstance(value, str) else json.dumps(value, default=str)


def measured_on(run: Run) -> tuple[str, ...]:
    """What two runs whose scores can be compared share: task, metric, split, and where the test rows come from."""
    rows = {key: value for key, value in run.config.items() if key.startswith("data.") and _of_test(key, run)}
    report = run.report
    return (str(report.get("task")), report["metric"], str(report.get("split")), text(dict(sorted(rows.items()))))


def comparison_names(runs: Sequence[Run]) -> dict[tuple[str, ...], str]:
    """A name for each set of runs that can be compared, such as `rotten_tomatoes, accuracy`."""
    first = {measured_on(run): run for run in reversed(runs)}
    plain = {key: f"{_data(run)}, {run.report['metric']}" for key, run in first.items()}
    return {key: name + _apart(key, [other for other in plain if plain[other] == name]) for key, name in plain.items()}


def _apart(key: tuple[str, ...], alike: list[tuple[str, ...]]) -> str:
    """What tells one of several of the same name from all others: as few values that differ as will do."""
    mine, others = _parts(key), [_parts(other) for other in alike if other != key]
    shown = []
    for name in dict.fromkeys(name for part in (mine, *others) for name in part):
        left = [other for other in others if other.get(name) == mine.get(name)]
        if len(left) < len(others):
            shown.append(f"{name.removeprefix('data.')}={text(mine.get(name))}")
        others = left
    return f" ({', '.join(shown)})" if shown else ""


def _parts(key: tuple[str, ...]) -> dict[str, Any]:
    task, _, split, rows = key
    return json.loads(rows) | {"split": split, "task": task}


def _of_test(key: str, run: Run) -> bool:
    inner = re.sub(r"^data\.(parts\.[^.]+\.)?", "", key)
    test = key.removesuffix(inner) + "test"  # of a mixture, of the same part
    cut_off = inner == "train" and run.config.get(test) is None  # then the test rows come from there
    return cut_off or not any(inner == name or inner.startswith(f"{name}.") for name in TRAINING)


def _data(run: Run) -> str:
    return choices(run)["data"]


def _listed(value: str) -> str:
    """`[a,b]` as `a + b`."""
    return " + ".join(part.strip() for part in value[1:-1].split(",")) if value.startswith("[") else value


def _terms(run: Run) -> str:
    """The terms of the config, where nobody named the files that they are from."""
    return " + ".join(dict.fromkeys(key.split(".")[2] for key in run.config if key.startswith("kd.terms.")))
