import json

import optuna
import pytest
from optuna.pruners import MedianPruner, ThresholdPruner

import train
from kd.assembly import Assembly
from kd.plan import make_plan
from search.pruning import PrunedError, Pruning, pruned


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path}/search.db"


@pytest.fixture
def distil(configure, tmp_path, storage):
    """Distils a small student under a pruner; gives the fit."""

    def distil(name, pruner, *more):
        own = ["student=bilstm", "callbacks=pruning", f"callbacks.pruning.storage={storage}"]
        config = configure(*own, *more)
        config.run_dir, config.callbacks.pruning.pruner = str(tmp_path / name), pruner
        assembly = Assembly(config, make_plan(config), tmp_path / name, [])
        teachers, _ = assembly.teachers()
        return assembly.distil(teachers)[1]

    return distil


def median(startup):
    return {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": startup}


def test_a_hopeless_run_ends_and_a_good_one_does_not(distil, storage, tmp_path):
    good = distil("good", median(1), "student.learning_rate=3e-2")
    with pytest.raises(PrunedError, match=r"^pruned: val/accuracy was 0\.\d+ after validation 1, where other runs"):
        distil("bad", median(1), "student.learning_rate=0", "seed=2")
    found = pruned(storage, "pruning")
    assert list(found) == [str(tmp_path / "bad")]
    assert found[str(tmp_path / "bad")].value < good.score
    assert distil("as good", median(1), "student.learning_rate=3e-2").score == good.score


def test_the_kept_scores_are_those_of_the_validations(distil, storage):
    fitted = distil("one", median(1), "trainer.max_epochs=3")
    (trial,) = optuna.load_study(study_name="pruning: validations of stage last", storage=storage).trials
    assert list(trial.intermediate_values) == [0, 1, 2]
    assert trial.value == max(trial.intermediate_values.values()) == fitted.score


def test_runs_are_compared_stage_by_stage(storage, tmp_path):
    stage, last = (Pruning(storage, "a", MedianPruner(), str(path)) for path in (tmp_path / "stages" / "one", tmp_path))
    names = [each._study().study_name for each in (stage, last, stage)]
    assert names == [f"a: validations of stage {stage}" for stage in ("one", "last", "one")]


def test_a_resumed_run_knows_its_scores(storage):
    former = Pruning(storage, "a", ThresholdPruner(lower=0.5), "b")
    former.scores = {0: 0.6, 1: 0.4}
    resumed = Pruning(storage, "a", ThresholdPruner(lower=0.5), "b")
    resumed.load_state_dict(former.state_dict())
    assert resumed._is_hopeless()
    assert not Pruning(storage, "a", ThresholdPruner(lower=0.3), "a")._is_hopeless()


def test_a_run_that_was_pruned_says_so(overrides, storage, tmp_path, monkeypatch, capsys):
    """The whole way, from the config to the one line at the end."""
    asked = ["callbacks=pruning", f"callbacks.pruning.storage={storage}", "student=bilstm", "logger=[]"]
    threshold = ["callbacks.pruning.pruner={_target_:optuna.pruners.ThresholdPruner,lower:1.1}"]
    threshold = ["~callbacks.pruning.pruner", *(f"+{part}" for part in threshold)]
    monkeypatch.setattr("sys.argv", ["train.py", *overrides, *asked, *threshold])
    assert train.command_line() == 1
    assert "error: pruned: val/accuracy was" in capsys.readouterr().err
    assert not (tmp_path / "run" / "report.json").exists()


def test_the_report_has_the_score_by_which_runs_are_chosen(overrides, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train.py", *overrides, "student=bilstm", "baseline=false"])
    assert train.command_line() == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    lines = (tmp_path / "run" / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("val/accuracy")
    scores = [float(line.split(",")[column]) for line in lines[1:] if line.split(",")[column]]
    assert report["validation_score"] == pytest.approx(max(scores))
