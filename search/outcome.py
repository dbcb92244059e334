"""What came of a search, in words."""

import json
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial

from potstill import sweeps
from potstill.errors import UserError
from reports.runs import OF_A_SEARCH
from reports.tables import table
from search.budget import Budget

TRAINED, PRUNED, FAILED = "trained", "pruned", "failed"
REFUSED, OVER, REPEATED = "refused", "over the budget", "seen before"
DIRECTIONS: tuple[Any, ...] = ("maximize", "minimize", "minimize")  # score in validation, milliseconds, megabytes
OUTCOME, OVERRIDES, COST, FOLDER = "outcome", "overrides", "cost", "folder"


def said(trial: Trial, what: str) -> str:
    """A line about one candidate."""
    attributes = trial.user_attrs
    cost = attributes.get(COST)
    measured = f": {cost['latency_ms']:.2f} ms, {cost['megabytes']:.1f} MB" if cost else ""
    return f"search    {trial.number:3}  {_choices(trial)}{measured}: {what}"


def conclusion(study: optuna.Study, folder: Path, budget: Budget) -> str:
    """The Pareto front of the students that were trained, and the command of the most accurate one.

    Raises:
        UserError: there is none.
    """
    latest = {trial.user_attrs.get(FOLDER, trial.number): trial for trial in study.trials}  # some were tried again
    counts = Counter(trial.user_attrs.get(OUTCOME) for trial in latest.values())
    counted = [f"{counts[what]} {what}" for what in (TRAINED, PRUNED, FAILED, OVER, REFUSED) if counts[what]]
    lines = [f"# Students within {budget}", "", f"Candidates: {', '.join(counted)}.", ""]
    front = pareto_front(study)
    if not front:
        raise UserError(f"hparams_search: no student within {budget} was trained to its end{_nearest(study, budget)}")
    front.sort(key=lambda trial: (-trial.values[0], *trial.values[1:]))
    rows = [_row(trial, _report(folder, trial)) for trial in front]
    metric = _report(folder, front[0])["metric"]
    header = ["", f"{metric}, validation", "test", "ms, batch 1", "megabytes", "folder"]
    best = front[0].user_attrs
    own = ("baseline=", *OF_A_SEARCH)
    command = ["python", "train.py", *(part for part in sweeps.plain(best[OVERRIDES]) if not part.startswith(own))]
    lines += ["The Pareto front: of the trained students none is better in one and as good in the others.", ""]
    lines += [*table(header, rows), "", f"The most accurate one is in {folder / best[FOLDER]}.", ""]
    return "\n".join([*lines, "The same with its baseline:", "", f"    {shlex.join(command)}", ""])


def pareto_front(study: optuna.Study) -> list[FrozenTrial]:
    """The trained students that are beaten by no other trained one, in score, latency and size."""
    trained = optuna.create_study(directions=list(DIRECTIONS))
    trained.add_trials([trial for trial in study.trials if trial.user_attrs.get(OUTCOME) == TRAINED])
    return trained.best_trials


def _row(trial: FrozenTrial, report: dict[str, Any]) -> list[str]:
    score, latency, megabytes = trial.values
    figures = [f"{score:.1%}", f"{report['student']['score']:.1%}", f"{latency:.2f}", f"{megabytes:.1f}"]
    return [_choices(trial), *figures, trial.user_attrs[FOLDER]]


def _report(folder: Path, trial: FrozenTrial) -> dict[str, Any]:
    return json.loads((folder / trial.user_attrs[FOLDER] / sweeps.REPORT).read_text())


def _choices(trial: Trial | FrozenTrial) -> str:
    """The overrides that were a choice."""
    chosen = {name.split(" of ")[0] for name in trial.params}
    return " ".join(part for part in trial.user_attrs.get(OVERRIDES, []) if part.split("=")[0] in chosen)


def _nearest(study: optuna.Study, budget: Budget) -> str:
    """Which of those over the budget comes nearest to it."""
    over = [trial for trial in study.trials if trial.user_attrs.get(OUTCOME) == OVER]
    if not over:
        return ""
    near = min(over, key=lambda trial: max(budget.excess(trial.user_attrs[COST]).values()))
    latency, size = (near.user_attrs[COST][name] for name in ("latency_ms", "megabytes"))
    return f"; the nearest: {_choices(near)}: {latency:.2f} ms, {size:.1f} MB"
