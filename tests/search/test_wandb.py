import subprocess

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

import train
from search import wandb
from search.space import space_of


def test_each_kind_of_choice():
    shared = {
        "kd": "response,[response,feature]",
        "baseline": False,
        "student": "bilstm,cnn_lstm",
        "student.dropout": "interval(0.1,0.5)",
        "student.learning_rate": "tag(log,interval(1e-4,1e-2))",
    }
    own = {"bilstm": {"student.hidden_size": "int(interval(16,64))"}, "cnn_lstm": {"student.character_size": "8,16"}}
    sweep = wandb.as_sweep(space_of(shared, own, ["seed=3"], OverridesParser.create()), "bilstm", "f1")
    assert sweep["metric"] == {"name": "val/f1", "goal": "maximize"}
    assert sweep["parameters"] == {
        "kd": {"values": ["response", "[response,feature]"]},
        "student.dropout": {"distribution": "uniform", "min": 0.1, "max": 0.5},
        "student.learning_rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        "student.hidden_size": {"distribution": "int_uniform", "min": 16, "max": 64},
    }
    assert sweep["command"][3:-1] == ["logger=[csv,wandb]", "baseline=False", "student=bilstm", "seed=3"]


def test_a_file_for_each_student_whose_command_runs(overrides, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [part for part in overrides if not part.startswith("run_dir=")]
    wandb.main([*settings, "student=bilstm,bert_small", "kd=[response,feature],kl", "scheme=offline"])
    assert {path.name for path in tmp_path.glob("*.yaml")} == {"wandb-bilstm.yaml", "wandb-bert_small.yaml"}
    sweep = yaml.safe_load((tmp_path / "wandb-bert_small.yaml").read_text())
    assert sweep["metric"]["name"] == "val/accuracy"
    chosen = [f"{key}={each['values'][0]}" for key, each in sweep["parameters"].items()]  # as an agent would
    assert sweep["command"][:3] == ["${env}", "${interpreter}", "${program}"]
    assert sweep["command"][-1] == "${args_no_hyphens}"
    line = [part for part in sweep["command"][3:-1] if part != "logger=[csv,wandb]"]
    monkeypatch.setattr("sys.argv", ["train.py", *line, *chosen, "plan=true"])
    assert train.command_line() == 0


def test_what_cannot_be_searched_ends_in_one_line():
    done = subprocess.run(
        [wandb.sys.executable, "-m", "search.wandb", "student=interval(1,2", "seed=1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=train.Path(train.__file__).parent,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("key", ["callbacks.pruning.storage", "callbacks"])
def test_what_is_ours_alone_stays_here(key):
    assert not wandb._is_kept(key)
