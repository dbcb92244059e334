from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from kd.plan import make_plan
from kd.schemes.base import STUDENT
from potstill.errors import UserError
from search.budget import Budget, Costs

CONF = Path(__file__).parents[2] / "conf"


def test_what_is_over_the_budget():
    cost = {"latency_ms": 3.0, "megabytes": 4.0}
    assert Budget(2.0, 5.0).excess(cost) == pytest.approx({"latency_ms": 0.5, "megabytes": -0.2})
    assert Budget(None, 2).excess(cost) == {"megabytes": 1.0}
    assert Budget(None, None).excess(cost) == {}
    assert (str(Budget(2, 5.5)), str(Budget(None, None))) == ("2 ms and 5.5 MB", "no bound")


@pytest.mark.parametrize("bound", [0, -1, "two", True])
def test_a_bound_is_a_number_above_0(bound):
    with pytest.raises(UserError, match=r"budget.latency_ms: .* is not a number above 0"):
        Budget(bound, None)


def test_a_candidate_is_as_large_as_it_will_be(configure, overrides):
    config = configure("student=bilstm", "student.hidden_size=16")
    cost = Costs().cost(config, overrides)
    draft = make_plan(config).drafts[STUDENT]
    assert cost["parameters"] == draft.spec.parameters
    assert cost["megabytes"] == pytest.approx(draft.spec.parameters * 4 / 1e6)
    assert 0 < cost["latency_ms"] < 1000


def test_one_architecture_is_measured_once(configure, overrides):
    costs = Costs()
    first, second, third = (
        costs.cost(configure("student=bilstm", *more), overrides)
        for more in (["kd=response"], ["kd=feature", "seed=2"], ["student.hidden_size=16"])
    )
    assert first is second
    assert third["megabytes"] < first["megabytes"]


def test_of_stages_the_last_one_counts(overrides, configure):
    more = ["scheme=assistant", "student=bilstm", "student.hidden_size=8"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cost = Costs().cost(compose("train", overrides=[*overrides, *more]), [*overrides, *more])
    assert cost["parameters"] == Costs().cost(configure(*more[1:]), overrides)["parameters"]


def test_what_cannot_be_is_refused(configure, overrides):
    with pytest.raises(UserError, match="scheme=self: the student"):
        Costs().cost(configure("student=bilstm", "scheme=self"), overrides)
