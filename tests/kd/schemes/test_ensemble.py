import math

import pytest
import torch

from kd.knowledge import pairing
from kd.knowledge.distances import mse
from kd.knowledge.feature import HiddenStates
from kd.knowledge.response import SoftTargets
from kd.objective import fitting_terms, required_fields
from kd.schemes.ensemble import Ensemble
from models.output import LOGITS, Field
from potstill.errors import UserError

SAID = {
    "student": torch.zeros(1, 2),
    "teacher": torch.tensor([[math.log(3), 0.0]]),
    "second": torch.zeros(1, 2),
}


@pytest.fixture
def specs(make_spec):
    return {name: make_spec(classes=2) for name in SAID}


def test_probabilities_are_averaged(specs, step_of, parts_of):
    """Mean (5/8, 3/8) against (1/2, 1/2); labels count once."""
    parts = parts_of(Ensemble(), specs, step_of(SAID, labels=[0]))
    expected = 0.625 * math.log(0.625 / 0.5) + 0.375 * math.log(0.375 / 0.5)
    assert parts["kd/kl/student<-mixture"].item() == pytest.approx(expected, abs=1e-6)
    assert parts["label_loss/student"].item() == pytest.approx(math.log(2))


def test_teachers_of_one_mind_are_one_teacher(specs, step_of, parts_of):
    said = SAID | {"second": SAID["teacher"]}
    for options in ({}, {"average": "logits"}, {"weights": "confidence"}, {"weights": "learned"}):
        parts = parts_of(Ensemble(**options), specs, step_of(said))
        assert parts["kd/kl/student<-mixture"].item() == pytest.approx(0.130812, abs=1e-6)


def test_the_surer_teacher_counts_for_more(specs):
    sure = torch.tensor([[9.0, 0.0]])
    mixed = Ensemble(weights="confidence").mixture([sure, torch.zeros(1, 2)]).softmax(-1)
    share = 1 / (1 + math.exp(-math.log(2)))  # entropies 0 and ln 2
    assert mixed[0, 0].item() == pytest.approx(share + (1 - share) / 2, abs=1e-3)


def test_weights_are_learned_from_the_labels_and_from_nothing_else(specs, step_of, parts_of):
    scheme = Ensemble(weights="learned")
    student = torch.zeros(1, 2, requires_grad=True)
    parts = parts_of(scheme, specs, step_of(SAID | {"student": student}, labels=[0]))
    parts["kd/kl/student<-mixture"].backward()
    assert scheme.preference.grad is None
    parts["label_loss/mixture"].backward()
    assert scheme.preference.grad[0] < 0 < scheme.preference.grad[1]  # the first one is right


def test_terms_about_logits_meet_the_mixture_and_all_others_each_teacher(specs):
    scheme = Ensemble()
    terms = {"response": SoftTargets(), "hidden": HiddenStates(pairing.last, mse)}
    taken = {str(pair): fitting_terms(pair, lambda: terms)[0] for pair in scheme.pairs(specs)}
    assert {name: list(some) for name, some in taken.items()} == {
        "student<-mixture": ["response"],
        "student<-teacher": ["hidden"],
        "student<-second": ["hidden"],
    }
    fields = required_fields(scheme.pairs(specs), taken)
    both = {LOGITS, Field("hidden_states", 2)}
    assert fields == {"student": both, "teacher": both, "second": both}


def test_what_is_inside_is_averaged_over_teachers(specs, step_of):
    scheme = Ensemble({"second": None, "third": None})
    specs = specs | {"third": specs["second"]}
    lessons = list(scheme.lessons(scheme.pairs(specs), step_of(SAID | {"third": SAID["second"]})))
    assert [(lesson.weight, lesson.label_weight) for lesson in lessons[1:]] == [(1 / 3, 0)] * 3


def test_the_own_teacher_can_be_left_out(specs, step_of, parts_of):
    scheme = Ensemble({"second": None}, include_own=False)
    assert [str(pair) for pair in scheme.pairs(specs)] == ["student<-mixture", "student<-second"]
    parts = parts_of(scheme, specs, step_of(SAID))
    assert parts["kd/kl/student<-mixture"].item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": "median"}, "scheme.average: 'median'"),
        ({"weights": "random"}, "scheme.weights: 'random'"),
        ({"teachers": {"teacher": None}}, "scheme.teachers: 'teacher'"),
    ],
)
def test_what_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        Ensemble(**options)
