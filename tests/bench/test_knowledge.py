import json
import sys

import pytest

from bench import knowledge
from bench.knowledge import Trial, in_its_place, multiply, table, trials

RESULT = {"validation": 0.5, "test": 0.5, "seconds": 0.1, "bytes": 4000}


@pytest.fixture
def options():
    return knowledge.read_options(["--set", "small", "a=b", "--students", "bilstm", "--kd", "response", "hint"])


def test_what_is_about_logits_takes_the_place_of_soft_targets():
    assert in_its_place("logits")
    assert in_its_place("decoupled")
    assert not in_its_place("hidden_states")
    assert not in_its_place("instance_graph")


def test_all_terms_get_the_same_effort(options):
    done = {}
    for trial in trials(options, done):
        done[trial] = RESULT | {"validation": 0.6 if trial.factor == 3 else 0.5}
    tried = [(trial.kd, trial.factor, trial.seed) for trial in done]
    each = [(0.3, 1), (1.0, 1), (3.0, 1), (3.0, 2), (3.0, 3)]
    assert tried == [(kd, *pair) for kd in ("response", "hint") for pair in each]


def test_what_is_refused_is_tried_once(options):
    done = {}
    for trial in trials(options, done):
        done[trial] = {"refused": "no"} if trial.kd == "hint" else RESULT
    assert [trial.factor for trial in done if trial.kd == "hint"] == [0.3]


def test_a_weight_or_the_ends_of_its_schedule():
    from omegaconf import OmegaConf

    plain, moving = OmegaConf.create({"weight": 2.0}), OmegaConf.create({"weight": {"start": 0.0, "end": 4.0}})
    for term in (plain, moving):
        multiply(term, 3.0)
    assert (plain.weight, moving.weight.end) == (6, 12)


def test_the_table_tells_gain_cost_and_room():
    done = {}
    for seed, ours, alone in ((1, 0.8, 0.7), (2, 0.8, 0.72)):
        done[Trial("small", "bilstm", "response", 1.0, seed)] = RESULT | {"test": alone}
        done[Trial("small", "bilstm", "hint", 3.0, seed)] = RESULT | {"test": ours, "seconds": 0.12}
    done[Trial("small", "bilstm", "hint", 1.0, 1)] = RESULT | {"validation": 0.9}
    done[Trial("small", "bilstm", "attention", 0.3, 1)] = {"refused": "no attention"}
    *_, hint, response = table(done).splitlines()
    assert hint == "| small | bilstm | hint | 3 | 80.0 ± 0.0 | +9.0 ± 1.4 | 1.20 | 4 |"
    assert response == "| small | bilstm | response | 1 | 71.0 ± 1.4 | +0.0 ± 0.0 | 1.00 | 4 |"


@pytest.mark.slow
def test_a_study_goes_on_where_it_was(overrides, tmp_path, monkeypatch, capsys):
    settings = " ".join(part for part in overrides if not part.startswith("run_dir="))
    arguments = ["--folder", str(tmp_path), "--set", "small", settings, "--students", "bilstm", "--seeds", "1", "2"]
    monkeypatch.setattr(sys, "argv", ["bench.knowledge", *arguments, "--kd", "response", "pooled", "attention"])
    knowledge.main()
    lines = [json.loads(line) for line in (tmp_path / knowledge.RESULTS).read_text().splitlines()]
    assert len(lines) == 4 + 4 + 1
    assert "gives no attention scores" in lines[-1]["refused"]
    monkeypatch.setattr(knowledge, "run", None)
    knowledge.main()
    assert "| small | bilstm | pooled |" in capsys.readouterr().out
