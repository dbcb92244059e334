"""What came of a search, in words."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial

from potstill import sweeps
from reports.tables import table
from search.budget import Budget

TRAINED, PRUNED, FAILED = "trained", "pruned", "failed"
REFUSED, OVER, REPEATED = "refused", "over the budget", "seen before"
OUTCOME, OVERRIDES, COST, FOLDER = "outcome", "overrides", "cost", "folder"
OF_THE_SEARCH = (
    "baseline=",
    "callbacks=",
    "callbacks.",
    sweeps.LAUNCHER,
)  # of no use to the winner alone


def said(trial: Trial, what: str) -> str:
    """A line about one candidate."""
    attributes = trial.user_attrs
    cost = attributes.get(COST)
    measured = f": {cost['latency_ms']:.2f} ms, {cost['megabytes']:.1f} MB" if cost else ""
    return f"search    {trial.number:3}  {_choices(trial)}{measured}: {what}"


def conclusion(study: optuna.Study, folder: Path, budget: Budget) -> str:
    """The students that no other one beats in everything, and the command of the most accurate one."""
    counts = Counter(trial.user_attrs.get(OUTCOME) for trial in study.trials)
    counted = [f"{counts[what]} {what}" for what in (TRAINED, PRUNED, FAILED, OVER, REFUSED) if counts[what]]
    lines = [f"# Students within {budget}", "", f"Candidates: {', '.join(counted)}.", ""]
    front = [trial for trial in study.best_trials if trial.user_attrs.get(OUTCOME) == TRAINED]
    if not front:
        return "\n".join([*lines, _why_none(study, budget), ""])
    front.sort(key=lambda trial: (-trial.values[0], *trial.values[1:]))
    rows = [_row(trial, _report(folder, trial)) for trial in front]
    metric = _report(folder, front[0])["metric"]
    header = ["", f"{metric}, validation", "test", "ms, batch 1", "megabytes", "folder"]
    best = front[0].user_attrs
    command = [part for part in best[OVERRIDES] if not part.startswith(OF_THE_SEARCH)]
    lines += ["No other one that was trained is better than these in everything:", "", *table(header, rows), ""]
    lines += [f"The most accurate one is in {folder / best[FOLDER]}. The same with its baseline:", ""]
    return "\n".join([*lines, f"    python train.py {sweeps.as_typed(command)}", ""])


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


def _why_none(study: optuna.Study, budget: Budget) -> str:
    """In one line."""
    over = [trial for trial in study.trials if trial.user_attrs.get(OUTCOME) == OVER]
    if over:
        near = min(over, key=lambda trial: max(budget.excess(trial.user_attrs[COST]).values()))
        cost = near.user_attrs[COST]
        return (
            f"None was trained to its end. The nearest to the budget: {_choices(near)}: "
            f"{cost['latency_ms']:.2f} ms, {cost['megabytes']:.1f} MB."
        )
    return "None was trained to its end."
