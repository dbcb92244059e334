import pytest

from kd.knowledge.distances import mse, soft_targets
from kd.knowledge.response import Logits, SoftTargets
from potstill.errors import UserError


def test_soft_targets_average_over_rows(make_spec, make_output):
    one, other = make_output(make_spec(), seed=0), make_output(make_spec(), seed=1)
    rows = [soft_targets(x, y, 2.0).item() for x, y in zip(one.logits, other.logits, strict=True)]
    assert SoftTargets(temperature=2.0)(one, other, {}).item() == pytest.approx(sum(rows) / len(rows), rel=1e-5)


def test_any_distance_makes_a_response_term(make_spec, make_output):
    one, other = make_output(make_spec(), seed=0), make_output(make_spec(), seed=1)
    expected = (one.logits - other.logits).square().mean().item()
    assert Logits(mse)(one, other, {}).item() == pytest.approx(expected, rel=1e-5)


def test_another_number_of_classes_is_refused(make_spec):
    assert SoftTargets().fits(make_spec(classes=2), make_spec(classes=3)) == "the learner has 2 classes, the teacher 3"


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(UserError, match="temperature 0 is not above 0"):
        SoftTargets(temperature=0)
