import pytest
import torch

from kd.knowledge.distances import mse, soft_targets
from kd.knowledge.response import AnnealedLogits, Logits, SoftenedTeacher, SoftTargets
from kd.moment import Moment
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


def test_only_the_teacher_is_softened(make_spec, make_output):
    one, other = make_output(make_spec(), seed=0), make_output(make_spec(), seed=1)
    target = (other.logits / 3).softmax(-1)
    expected = (target * (target.log() - one.logits.log_softmax(-1))).sum(-1).mean()
    assert SoftenedTeacher(temperature=3.0)(one, other, {}).item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_very_soft_teacher_is_uniform(make_spec, make_output):
    one, other = make_output(make_spec(), seed=0), make_output(make_spec(), seed=1)
    uniform = torch.full_like(one.logits, 1 / 3)
    expected = (uniform * (uniform.log() - one.logits.log_softmax(-1))).sum(-1).mean()
    assert SoftenedTeacher(temperature=1e6)(one, other, {}).item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("steps", "epochs", "factors"),
    [
        (10, 10, [number / 10 for number in range(1, 11)]),
        (7, 14, [number / 7 for number in range(1, 8) for _ in range(2)]),
        (7, 2, [4 / 7, 1]),
        (2, 5, [0.5, 0.5, 1, 1, 1]),
    ],
)
def test_the_teachers_logits_grow(steps, epochs, factors):
    term, found = AnnealedLogits(steps), []
    for epoch in range(epochs):
        term.at(Moment(0, 1, epoch, epochs))
        found.append(term.factor)
    assert found == pytest.approx(factors)


def test_full_grown_they_are_plain_logits(make_spec, make_output):
    one, other = make_output(make_spec(), seed=0), make_output(make_spec(), seed=1)
    term = AnnealedLogits(4)
    first = term(one, other, {}).item()
    assert first == pytest.approx((one.logits - other.logits / 4).square().mean().item(), rel=1e-5)
    term.at(Moment(0, 1, 3, 4))
    assert term(one, other, {}).item() == pytest.approx(Logits(mse)(one, other, {}).item())


@pytest.mark.parametrize(
    ("make", "message"), [(lambda: SoftenedTeacher(0), "temperature 0"), (lambda: AnnealedLogits(0), "steps 0")]
)
def test_what_cannot_be(make, message):
    with pytest.raises(UserError, match=message):
        make()
