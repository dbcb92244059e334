import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge import response, weighting
from kd.knowledge.distances import mse, soft_targets
from kd.knowledge.response import (
    AnnealedLogits,
    Correlations,
    DecoupledTargets,
    Logits,
    SoftenedTeacher,
    SoftTargets,
    standardised,
)
from kd.knowledge.weighting import correct
from kd.moment import Moment
from kd.schedule import Linear
from models.heads import ANY_LABEL, NUMBER, ONE_OF_PART, SPANS
from models.output import LOGITS, ModelOutput
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


SEEDS = st.integers(0, 2**31)
ONE, OTHER = torch.tensor([[1.0, 2, -1]]), torch.tensor([[0.5, -2, 3]])


def said(logits, rows=None):
    return ModelOutput(logits, torch.ones(len(logits), 1, dtype=torch.bool), rows=rows)


def test_a_temperature_may_follow_a_schedule(make_spec):
    term = SoftTargets(temperature=Linear(start=4.0, end=1.0))
    values = []
    for update in (0, 4):
        term.at(Moment(update, 5))
        values.append(term(said(ONE), said(OTHER), {}).item())
    expected = [soft_targets(ONE, OTHER, temperature).item() for temperature in (4.0, 1.0)]
    assert values == pytest.approx(expected)
    assert term.describe(make_spec(), make_spec()) == "T = 4 to 1 (linear, by step)"


def test_rows_may_weigh_differently():
    learner, teacher = torch.randn(3, 3), torch.randn(3, 3)
    costs, weights = soft_targets(learner, teacher, 2.0), weighting.confident(teacher, None)
    expected = (costs * weights).sum() / weights.sum()
    found = SoftTargets(weighting=weighting.confident)(said(learner), said(teacher), {})
    assert found.item() == pytest.approx(expected.item())


def test_where_no_row_counts_there_is_no_loss():
    learner = torch.randn(2, 3, requires_grad=True)
    wrong = {"labels": torch.tensor([1, 1])}
    loss = SoftTargets(weighting=weighting.correct)(said(learner), said(torch.eye(3)[[0, 2]]), wrong)
    loss.backward()
    assert loss.item() == 0


def test_words_are_rows_where_both_sides_have_them():
    learner, teacher = torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    ours = torch.tensor([[True, True, True, False], [True, True, True, True]])
    theirs = torch.tensor([[True, True, False, True], [True, True, True, True]])
    expected = soft_targets(learner[ours & theirs], teacher[ours & theirs], 2.0).mean()
    learner[~ours] = 1e3
    assert SoftTargets()(said(learner, ours), said(teacher, theirs), {}).item() == pytest.approx(expected.item())


def test_each_of_several_labels_is_yes_or_no(make_spec):
    spec = make_spec(classes=3, problem=ANY_LABEL)
    term = SoftTargets(temperature=1.0)
    term.connect(spec, spec)
    p, q = OTHER.sigmoid(), ONE.sigmoid()
    expected = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).sum(-1).mean()
    assert term(said(ONE), said(OTHER), {}).item() == pytest.approx(expected.item(), rel=1e-5)
    assert DecoupledTargets().fits(spec, spec) == "2 classes: there is but one other class; say kd=response"


def test_another_task_is_named(make_spec):
    reason = Logits(mse).fits(make_spec(classes=1, problem=NUMBER), make_spec(classes=1))
    assert reason == "the learner's task is regression, the teacher's single label classification"


def test_standard_logits_by_hand():
    torch.testing.assert_close(standardised(torch.tensor([1.0, 2, 3])), torch.tensor([-1.0, 0, 1]))


@given(seed=SEEDS, scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_standard_logits_do_not_see_scale_and_shift(seed, scale, shift):
    logits = torch.randn(2, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    term = SoftTargets(standardise=True)
    assert term(said(scale * logits + shift), said(logits), {}).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("temperature", "parts"), [(1.0, (0.112117, 2.988329)), (4.0, (0.0986869, 7.032666))], ids=["1", "4"]
)
def test_decoupled_targets_by_hand(temperature, parts):
    found = [
        DecoupledTargets(*weights, temperature=temperature)(said(ONE), said(OTHER), {"labels": torch.tensor([0])})
        for weights in ((1, 0), (0, 1))
    ]
    assert [value.item() for value in found] == pytest.approx(parts, rel=1e-5)


@given(seed=SEEDS)
def test_decoupled_targets_are_soft_targets_with_the_paper_s_weight(seed):
    learner, teacher = torch.randn(2, 1, 4, generator=torch.Generator().manual_seed(seed)).double().unbind()
    p = teacher.softmax(-1)[0, 2].item()
    term = DecoupledTargets(1.0, 1 - p, temperature=1.0)
    expected = soft_targets(learner, teacher).mean().item()
    assert term(said(learner), said(teacher), {"labels": torch.tensor([2])}).item() == pytest.approx(expected)


def test_a_row_without_label_takes_the_teachers_class():
    term = DecoupledTargets()
    known, unknown = ({"labels": torch.tensor([label])} for label in (2, -100))
    assert term(said(ONE), said(OTHER), known).equal(term(said(ONE), said(OTHER), unknown))


def test_correlations_by_hand():
    """Two rows that the learner has the wrong way round: rows and columns all run against the teacher's."""
    teacher = torch.tensor([[math.log(3), 0.0], [0.0, math.log(3)]])
    assert Correlations()(said(teacher.flip(0)), said(teacher), {}).item() == pytest.approx(4)
    assert Correlations(rows=0)(said(teacher.flip(0)), said(teacher), {}).item() == pytest.approx(2)


def test_correlations_are_numpys():
    learner, teacher = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).unbind()
    p, q = (logits.softmax(-1).numpy() for logits in (teacher, learner))
    rows = np.mean([1 - np.corrcoef(p[row], q[row])[0, 1] for row in range(5)])
    classes = np.mean([1 - np.corrcoef(p[:, number], q[:, number])[0, 1] for number in range(3)])
    found = Correlations(rows=2.0, classes=3.0)(said(learner), said(teacher), {})
    assert found.item() == pytest.approx(2 * rows + 3 * classes, rel=1e-4)


@given(seed=SEEDS, scale=st.floats(0.1, 10), shift=st.floats(-10, 10))
def test_a_correlation_does_not_see_scale_and_shift(seed, scale, shift):
    x, y = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).unbind()
    ones = torch.ones_like(x)
    assert torch.allclose(response.pearson(scale * x + shift, y, ones), response.pearson(x, y, ones), atol=1e-6)


@pytest.mark.parametrize(
    ("term", "classes", "reason"),
    [
        (DecoupledTargets(), 2, "2 classes: there is but one other class; say kd=response"),
        (SoftTargets(standardise=True), 2, "2 classes: standardised logits of two say only which is greater"),
        (Correlations(), 2, "2 classes: a row's correlation teaches nothing; set rows to 0"),
        (SoftTargets(), 1, "1 class: one number has no probabilities; say kd=logits"),
    ],
)
def test_too_few_classes(term, classes, reason, make_spec):
    spec = make_spec(classes=classes)
    assert term.fits(spec, spec).startswith(reason)


def test_enough_classes(make_spec):
    two, three, one = (make_spec(classes=classes) for classes in (2, 3, 1))
    assert Correlations(rows=0).fits(two, two) is None
    assert Logits(mse).fits(one, one) is None
    for term in (DecoupledTargets(), Correlations(), SoftTargets(standardise=True)):
        assert term.fits(three, three) is None


def spans(logits, words):
    """An output of `[B, 2, W]` logits for these words."""
    return ModelOutput.of({LOGITS: logits}, words, choices=words)


WORDS = torch.tensor([[True, True, True, True, False], [True, False, True, True, True]])


@given(SEEDS)
def test_of_spans_the_loss_is_the_mean_of_begin_and_end_over_the_common_words(seed):
    draw = torch.Generator().manual_seed(seed)
    ours, theirs = torch.randn(2, 2, 5, generator=draw), torch.randn(2, 2, 5, generator=draw)
    other = torch.tensor([[True, True, False, True, True], [True, True, True, True, True]])
    for distance, term in ((soft_targets, SoftTargets(temperature=1.0)), (mse, Logits(mse))):
        loss = term(spans(ours, WORDS), spans(theirs, other), {})
        expected = [
            distance(ours[row, side, both], theirs[row, side, both])
            for row, side, both in ((0, 0, [0, 1, 3]), (0, 1, [0, 1, 3]), (1, 0, [0, 2, 3, 4]), (1, 1, [0, 2, 3, 4]))
        ]
        torch.testing.assert_close(loss, torch.stack(expected).mean(), rtol=1e-4, atol=1e-5)


@given(SEEDS)
def test_of_several_tasks_each_text_counts_as_if_there_were_its_own_classes_alone(seed):
    draw = torch.Generator().manual_seed(seed)
    ours, theirs = torch.randn(3, 5, generator=draw), torch.randn(3, 5, generator=draw)
    first = torch.arange(5) < 2
    choices = torch.stack([first, ~first, ~first])
    own = [(row, place) for row, place in zip(range(3), ([0, 1], [2, 3, 4], [2, 3, 4]), strict=True)]
    batch = {"labels": torch.tensor([1, 4, -100])}
    for term in (SoftTargets(), Logits(mse), AnnealedLogits(), SoftTargets(weighting=correct)):
        one, other = (ModelOutput.of({LOGITS: logits}, choices, choices=choices) for logits in (ours, theirs))
        weights = [1.0] * 3
        if term.weighting is correct:
            right = theirs[0, :2].argmax() == 1, theirs[1, 2:].argmax() == 2
            weights = [float(right[0]), float(right[1]), theirs[2, 2:].softmax(-1).max().item()]
        alone = [term.compare(ours[row, place], theirs[row, place], None, None) for row, place in own]
        expected = sum(weight * cost for weight, cost in zip(weights, alone, strict=True)) / max(sum(weights), 1e-12)
        torch.testing.assert_close(term(one, other, batch), expected, rtol=1e-4, atol=1e-5)


def test_of_spans_neither_padding_nor_what_is_in_it_counts():
    ours, theirs = torch.randn(2, 2, 5), torch.randn(2, 2, 5)
    wider = torch.cat([WORDS, torch.zeros(2, 3, dtype=torch.bool)], 1)
    batch = {"labels": torch.tensor([[0, 3], [2, 9]])}
    for term in (SoftTargets(), Logits(mse), AnnealedLogits(), DecoupledTargets(), SoftTargets(weighting=correct)):
        loss = term(spans(ours, WORDS), spans(theirs, WORDS), batch)
        padded = [torch.cat([logits, 99 * torch.randn(2, 2, 3)], -1) for logits in (ours, theirs)]
        torch.testing.assert_close(term(*(spans(logits, wider) for logits in padded), batch), loss)


@pytest.mark.parametrize(
    ("term", "reason"),
    [
        (SoftTargets(standardise=True), "question answering: what there is to choose among"),
        (Correlations(), "question answering: what one text chooses among"),
        (SoftTargets(), None),
        (DecoupledTargets(), None),
        (Logits(mse), None),
    ],
)
def test_which_terms_suit_spans_and_several_tasks(term, reason, make_spec):
    for problem, classes in ((SPANS, 2), (ONE_OF_PART, 5)):
        spec = replace(make_spec(classes=classes), problem=problem)
        expected = reason and reason.replace("question answering", problem.replace("_", " "))
        assert (term.fits(spec, spec) or "").startswith(expected or "")
        assert (term.fits(spec, spec) is None) == (reason is None)


def test_of_spans_growing_logits_count_where_both_have_words():
    ours, theirs = torch.randn(1, 2, 5), torch.randn(1, 2, 5)
    term = AnnealedLogits(steps=4)
    expected = (ours - theirs / 4)[..., :4].square().mean()
    torch.testing.assert_close(term(spans(ours, WORDS[:1]), spans(theirs, WORDS[:1]), {}), expected)
