import pytest
import torch
from torch.nn import functional as F

from data.classification import Classification
from kd.knowledge import pairing, structures
from kd.knowledge.distances import mse
from kd.knowledge.feature import AttentionScores, HiddenStates
from kd.knowledge.relation import Relation
from kd.knowledge.response import SoftTargets
from kd.objective import Objective, fitting_terms, required_fields
from kd.schemes.base import Lesson, Pair
from kd.schemes.mutual import Mutual
from kd.schemes.offline import Alone, Offline
from kd.schemes.self import SelfDistillation
from models.output import LOGITS, Field
from potstill.errors import UserError

LABELS = {"labels": torch.tensor([0, 2, -100, 1])}


@pytest.fixture
def pair(make_spec):
    return Pair("student", make_spec(), "teacher", make_spec())


def test_parts_are_weighted_and_named(pair, make_spec, make_output):
    one, other = make_output(make_spec()), make_output(make_spec(), seed=1)
    term = SoftTargets(temperature=2.0, weight=3.0)
    objective = Objective({str(pair): {"response": term}}, Classification("abc").loss, 0.5)
    losses = objective(Lesson(pair, one, other, weight=10.0, label_weight=4.0), LABELS)
    label_loss = F.cross_entropy(one.logits, LABELS["labels"], ignore_index=-100) * 3 / 4
    assert losses["label_loss/student"].item() == pytest.approx(4 * 0.5 * label_loss.item(), rel=1e-5)
    assert losses["kd/response/student<-teacher"].item() == pytest.approx(10 * 3 * term(one, other, {}).item())


def test_rows_without_label_never_reach_the_label_loss(pair, make_spec, make_output):
    output = make_output(make_spec())
    output.logits.requires_grad_()
    objective = Objective({str(pair): {}}, Classification("abc").loss, 1.0)
    objective(Lesson(pair, output), LABELS)["label_loss/student"].backward()
    assert output.logits.grad[2].tolist() == [0, 0, 0]
    assert (output.logits.grad[[0, 1, 3]].abs().sum(1) > 0).all()


def test_losses_are_float32_whatever_the_models_ran_in(pair, make_spec, make_output):
    one, other = make_output(make_spec()), make_output(make_spec(), seed=1)
    objective = Objective({str(pair): {"response": SoftTargets()}}, Classification("abc").loss, 1.0)
    expected = objective(Lesson(pair, one, other), LABELS)
    for output in (one, other):
        output.logits = output.logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        losses = objective(Lesson(pair, one, other), LABELS)
    for name, loss in losses.items():
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(expected[name].item(), rel=0.05)


def test_a_term_that_does_not_fit_ends_the_run_by_name(make_spec):
    pair = Pair("student", make_spec(classes=2), "teacher", make_spec())
    with pytest.raises(UserError, match=r"kd.terms.response: cannot work for student<-teacher: the learner has 2"):
        fitting_terms(pair, lambda: {"response": SoftTargets()})


def test_an_optional_term_is_left_out_with_a_note_unless_nothing_is_left(make_spec):
    pair = Pair("student", make_spec(classes=2), "teacher", make_spec())
    optional = SoftTargets(optional=True)
    with pytest.raises(UserError, match="no term can work"):
        fitting_terms(pair, lambda: {"response": optional})

    class Fits(HiddenStates):
        """A term that has no opinion of classes."""

    terms, notes = fitting_terms(pair, lambda: {"response": optional, "other": Fits(pairing.layers, mse)})
    assert list(terms) == ["other"]
    assert "response left out, the learner has 2 classes" in notes[0]


class TestRequiredFields:
    @staticmethod
    def fields(scheme, specs, terms):
        pairs = scheme.pairs(specs)
        return required_fields(pairs, {str(pair): terms for pair in pairs})

    @pytest.fixture
    def specs(self, make_spec):
        return {"student": make_spec(widths=(8,) * 3), "teacher": make_spec(widths=(8,) * 5)}

    def test_each_side_gives_what_the_terms_read_of_it(self, specs):
        terms = {"response": SoftTargets(), "hidden_states": HiddenStates(pairing.layers, mse)}
        assert self.fields(Offline(), specs, terms) == {
            "student": {LOGITS, Field("hidden_states", 1), Field("hidden_states", 2)},
            "teacher": {LOGITS, Field("hidden_states", 2), Field("hidden_states", 4)},
        }

    def test_logits_that_nobody_reads_are_not_asked_for(self, specs):
        assert self.fields(Offline(), specs, {"angle": Relation(structures.angles)}) == {
            "student": {Field("mean_states", 2)},
            "teacher": {Field("mean_states", 4)},
        }

    def test_what_several_terms_read_adds_up(self, specs):
        terms = {"angle": Relation(structures.angles), "attention": AttentionScores(pairing.last)}
        assert self.fields(Offline(), specs, terms) == {
            "student": {Field("mean_states", 2), Field("attention_scores", 2)},
            "teacher": {Field("mean_states", 4), Field("attention_scores", 4)},
        }

    def test_who_learns_and_teaches_gives_what_is_read_of_both(self, make_spec):
        """The student's layer 1 learns from 2; the peer's 1, 2, 3 from 0, 1, 2."""
        specs = {"student": make_spec(widths=(8,) * 3), "peer": make_spec(widths=(8,) * 5)}
        found = self.fields(Mutual(), specs, {"hidden_states": HiddenStates(pairing.skip, mse)})
        assert found == {
            "student": {Field("hidden_states", layer) for layer in (0, 1, 2)},
            "peer": {Field("hidden_states", layer) for layer in (1, 2, 3)},
        }

    def test_exits_ask_the_network_that_they_are_part_of(self, specs):
        found = self.fields(SelfDistillation(), {"student": specs["teacher"]}, {"angle": Relation(structures.angles)})
        assert found == {"student": {Field("mean_states", layer) for layer in (1, 2, 3, 4)}}

    def test_without_teacher_or_terms_nothing_is_asked_for(self, specs):
        assert self.fields(Alone(), specs, {}) == {}
        assert self.fields(Offline(), specs, {}) == {}
