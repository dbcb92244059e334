import json

import optuna
import pytest
from optuna.trial import create_trial

from potstill.errors import UserError
from search.budget import Budget
from search.outcome import COST, DIRECTIONS, FOLDER, OUTCOME, OVER, OVERRIDES, PRUNED, TRAINED, conclusion, pareto_front


def study_of(tmp_path, *candidates):
    """A study of candidates: outcome, score, milliseconds, megabytes."""
    study = optuna.create_study(directions=list(DIRECTIONS))
    for number, (outcome, *values) in enumerate(candidates):
        chosen = {"seed": optuna.distributions.CategoricalDistribution([str(number)])}
        about = {OUTCOME: outcome, FOLDER: str(number), COST: {"latency_ms": values[1], "megabytes": values[2]}}
        about[OVERRIDES] = [f"seed={number}", "baseline=False", "launcher=joblib", "kd=[response,feature]"]
        params = {"seed": str(number)}
        study.add_trial(create_trial(values=values, params=params, distributions=chosen, user_attrs=about))
        (tmp_path / str(number)).mkdir()
        report = {"metric": "f1", "student": {"score": values[0] - 0.1}}
        (tmp_path / str(number) / "report.json").write_text(json.dumps(report))
    return study


def test_the_front_is_of_what_was_trained(tmp_path):
    """A pruned run beats the second one, and is no student that one can have."""
    study = study_of(
        tmp_path, (TRAINED, 0.8, 1, 4), (TRAINED, 0.7, 0.5, 2), (PRUNED, 0.71, 0.4, 1), (TRAINED, 0.69, 0.6, 2)
    )
    assert [trial.user_attrs[FOLDER] for trial in pareto_front(study)] == ["0", "1"]


def test_the_most_accurate_one_and_of_equals_the_fastest_is_named(tmp_path):
    study = study_of(tmp_path, (TRAINED, 0.8, 2, 1), (TRAINED, 0.8, 1, 4), (TRAINED, 0.7, 0.5, 4), (OVER, 0, 9, 9))
    text = conclusion(study, tmp_path, Budget(2, None))
    assert "# Students within 2 ms\n\nCandidates: 3 trained, 1 over the budget." in text
    rows = [line.replace(" ", "") for line in text.splitlines() if line.startswith("| seed")]
    assert rows == [
        "|seed=1|80.0%|70.0%|1.00|4.0|1|",
        "|seed=0|80.0%|70.0%|2.00|1.0|0|",
        "|seed=2|70.0%|60.0%|0.50|4.0|2|",
    ]
    assert f"The most accurate one is in {tmp_path}/1.\n" in text
    assert text.endswith("    python train.py seed=1 'kd=[response,feature]'\n")


def test_where_nothing_fits_the_nearest_is_named(tmp_path):
    study = study_of(tmp_path, (OVER, 0, 9, 9), (OVER, 0, 3, 9), (PRUNED, 0.7, 1, 1))
    said = "no student within 2 ms was trained to its end; the nearest: seed=1: 3.00 ms, 9.0 MB"
    with pytest.raises(UserError, match=said):
        conclusion(study, tmp_path, Budget(2, None))
    with pytest.raises(UserError, match=r"was trained to its end$"):
        conclusion(optuna.create_study(directions=list(DIRECTIONS)), tmp_path, Budget(None, None))
