"""Whole searches, on the command line."""

import os
import signal
import subprocess
import sys
import time

import optuna
import pytest

import train
from search.outcome import FOLDER, OUTCOME

pytestmark = pytest.mark.slow

SMALL = ["student=bilstm", "kd=response", "scheme=offline", "logger=[]", "budget.sampler.n_startup_trials=2"]
WIDTHS = "student.hidden_size=8,16,24,32,400"


@pytest.fixture
def command(overrides, tmp_path):
    """The command of a search, which goes on where the same one was before."""
    settings = [part for part in overrides if not part.startswith("run_dir=")]
    fixed = [*settings, *SMALL, "student.embedding_size=8,16", f"hydra.sweep.dir={tmp_path}/search"]

    def command(*more):
        return [sys.executable, train.__file__, "-m", "hparams_search=budget", *fixed, *more]

    return command


def run(command):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def trials(tmp_path):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path}/search/search.db").trials


def test_hopeless_runs_are_pruned_and_the_search_knows_their_scores(command, tmp_path):
    asked = ["student.learning_rate=3e-2,0", "seed=1,2", "budget.students=4", "student.hidden_size=16"]
    done = run(command(*asked, "budget.latency_ms=1000", "callbacks.pruning.pruner.n_startup_trials=1"))
    assert done.returncode == 0, done.stderr + done.stdout
    found = {outcome: [] for outcome in ("trained", "pruned")}
    for trial in trials(tmp_path):
        if trial.user_attrs.get(OUTCOME) in found:
            found[trial.user_attrs[OUTCOME]].append(trial)
    assert len(found["trained"]) + len(found["pruned"]) == 4
    assert found["pruned"]
    assert {trial.params["student.learning_rate"] for trial in found["pruned"]} == {"0"}
    assert max(trial.values[0] for trial in found["pruned"]) < max(trial.values[0] for trial in found["trained"])
    for trial in found["pruned"]:
        assert (tmp_path / "search" / trial.user_attrs[FOLDER] / "failed.txt").read_text().startswith("pruned: ")
    assert "all runs are done" in done.stdout


def test_what_is_over_the_budget_is_never_trained(command, tmp_path):
    done = run(command(WIDTHS, "budget.size_mb=0.5", "budget.students=3"))
    assert done.returncode == 0, done.stderr
    found = trials(tmp_path)
    outcomes = [trial.user_attrs[OUTCOME] for trial in found]
    assert sum(outcome in ("trained", "pruned") for outcome in outcomes) == 3
    for trial in found:
        if cost := trial.user_attrs.get("cost"):
            wide = "student.hidden_size=400" in trial.user_attrs["overrides"]
            assert (cost["megabytes"] > 0.5) == wide == (trial.user_attrs[OUTCOME] == "over the budget")
            assert (tmp_path / "search" / trial.user_attrs[FOLDER]).exists() != wide
    text = (tmp_path / "search" / "search.md").read_text()
    assert text in done.stdout
    assert "# Students within 0.5 MB" in text


def test_the_winner_can_be_trained_again(command, overrides, tmp_path):
    done = run(command("student.learning_rate=1e-2", "budget.students=2", "student.hidden_size=16"))
    assert done.returncode == 0, done.stderr
    assert "What the student costs" not in done.stdout
    lines = (tmp_path / "search" / "search.md").read_text().splitlines()
    (line,) = [line.strip() for line in lines if line.startswith("    python train.py student=")]
    assert "pruning" not in line
    assert "budget" not in line
    best = min(trials(tmp_path), key=lambda trial: (-trial.values[0], *trial.values[1:]))  # of equal ones the fastest
    shell = f"{line.replace('python train.py', f'{sys.executable} {train.__file__}')} run_dir={tmp_path}/again"
    subprocess.run(shell, shell=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    again, first = tmp_path / "again" / "student", tmp_path / "search" / best.user_attrs[FOLDER] / "student"
    assert (again / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()


def test_a_search_that_was_killed_goes_on(command, tmp_path):
    asked = command(WIDTHS, "budget.students=3", "budget.size_mb=0.5")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    killed = subprocess.Popen(asked, env=environment, start_new_session=True, **quiet)
    while len(list((tmp_path / "search").glob("*/config.yaml"))) < 2:
        assert killed.poll() is None
        time.sleep(0.2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {trial.number: trial.user_attrs for trial in trials(tmp_path)}
    begun = [attributes[FOLDER] for attributes in before.values() if "cost" in attributes and OUTCOME not in attributes]
    assert len(begun) == 1
    done = run(asked)
    assert done.returncode == 0, done.stderr
    after = trials(tmp_path)
    ended = [trial.user_attrs[FOLDER] for trial in after if trial.user_attrs.get(OUTCOME) in ("trained", "pruned")]
    assert len(ended) == 3
    assert begun[0] in ended
    assert all(trial.params for trial in after if trial.user_attrs.get(OUTCOME) == "trained")
    other = run([*asked, "student.dropout=0.1,0.2"])
    assert other.returncode == 1
    assert "holds a search of other choices or bounds; take another folder" in other.stderr


def test_what_was_refused_or_failed_is_tried_again(command, folder, tmp_path):
    asked = command("student.hidden_size=8", "student.embedding_size=16", f"data.train={tmp_path}/later.csv")
    done = run(asked)
    assert done.returncode == 1
    assert "error: hparams_search: no student within no bound was trained to its end" in done.stderr
    (tmp_path / "later.csv").write_bytes((folder / "train.csv").read_bytes())
    done = run(asked)
    assert done.returncode == 0, done.stderr
    assert "Candidates: 1 trained" in done.stdout


def test_a_mistake_that_has_nothing_to_do_with_the_choices_is_told_once(command):
    done = run(command(WIDTHS, "data.train=/nowhere.csv"))
    assert done.returncode == 1
    assert "error: hparams_search: no candidate can be trained; the last one: /nowhere.csv: no such file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_search_is_a_sweep(command):
    line = [part for part in command() if part not in ("-m", "student.embedding_size=8,16")]
    done = run(line)
    assert done.returncode == 1
    assert done.stderr.strip() == "error: hparams_search=budget: a search is many runs; add -m"


def test_a_plan_of_a_search_trains_nothing(command, tmp_path):
    done = run(command(WIDTHS, "plan=true", "budget.latency_ms=2"))
    assert done.returncode == 0, done.stderr
    assert "20 students within 2 ms" in done.stdout
    assert not (tmp_path / "search").exists()
