import optuna
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from potstill.errors import UserError
from search.space import space_of

SHARED = {"student": "bilstm,bert_small", "kd": "response,[response,feature]", "baseline": False}
OWN = {"bilstm": {"student.hidden_size": "32,64"}, "bert_small": {"student.num_hidden_layers": "range(1,4)"}}


def made(*arguments, shared=SHARED, own=OWN):
    return space_of(shared, own, arguments, OverridesParser.create())


def asked(space, seed):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed))
    return space.overrides(study.ask())


@settings(deadline=None)
@given(st.integers(0, 1000))
def test_a_candidate_has_what_is_shared_and_what_its_student_has(seed):
    found = asked(made("hparams_search=budget", "budget.latency_ms=2", "seed=3"), seed)
    kinds = dict(part.split("=", 1) for part in found)
    assert kinds.pop("kd") in ("response", "[response,feature]")
    size = {"bilstm": "student.hidden_size", "bert_small": "student.num_hidden_layers"}[kinds.pop("student")]
    assert kinds.pop(size) in ("32", "64", "1", "2", "3")
    assert kinds == {"baseline": "False", "seed": "3"}


def test_the_command_line_has_the_last_word():
    space = made("student=bilstm", "student.hidden_size=48", "kd=relation,response")
    assert space.students == ["bilstm"]
    assert space.of_student("bilstm") == {
        "student": "bilstm",
        "student.hidden_size": "48",
        "kd": CategoricalDistribution(["relation", "response"]),
        "baseline": "False",
    }


def test_each_way_of_saying_is_understood():
    shared = {
        "a": "interval(0.1,0.5)",
        "b": "tag(log,interval(1e-5,1e-3))",
        "c": "int(interval(1,9))",
        "d": "range(2,8,2)",
        "e": "null,x",
    }
    assert made(shared=shared, own={}).shared == {
        "a": FloatDistribution(0.1, 0.5),
        "b": FloatDistribution(1e-5, 1e-3, log=True),
        "c": IntDistribution(1, 9),
        "d": CategoricalDistribution(["2", "4", "6"]),
        "e": CategoricalDistribution(["null", "x"]),
    }


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["budget.size_mb=2,5"], "budget.size_mb=2,5: has one value, with a point where it is no whole number"),
        (["student.dropout=interval(0.5,0.1)"], "student.dropout=interval.*: .*low.*"),
        (["a=tag(log,interval(0,1))"], "a=tag.*: .*low.*"),
    ],
)
def test_what_cannot_be_searched_is_named(words, reason):
    with pytest.raises(UserError, match=reason):
        made(*words)


def test_where_runs_go_makes_no_other_space():
    assert str(made("seed=1", "launcher=joblib", "lr=2")) == str(made("lr=2", "seed=1"))
    assert str(made("seed=1")) != str(made("seed=2"))
    assert "budget" not in str(made("++budget.size_mb=5"))


def test_numbers_are_short():
    (override,) = asked(made(shared={"b": "tag(log,interval(1e-5,1e-3))"}, own={}), 0)
    assert len(override) <= len("b=0.0001234")
    assert 1e-5 <= float(override.removeprefix("b=")) <= 1e-3
