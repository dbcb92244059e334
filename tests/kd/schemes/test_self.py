import math

import pytest
import torch

from kd.schemes.self import SelfDistillation
from models.output import ModelOutput
from potstill.errors import UserError


def test_every_exit_learns_from_the_deepest(make_spec):
    pairs = SelfDistillation().pairs({"student": make_spec(widths=(4, 5, 6, 7))})
    assert list(map(str, pairs)) == ["student<-labels", "exit1<-student", "exit2<-student"]
    assert pairs[1].learner_spec.widths == (4, 5)
    assert pairs[2].learner_spec.widths == (4, 5, 6)
    assert pairs[2].teacher_spec.widths == (4, 5, 6, 7)


def test_an_exit_is_a_part_of_the_student(make_spec):
    pairs = SelfDistillation().pairs({"student": make_spec(widths=(4, 5, 6, 7))})
    assert [pair.network for pair in pairs] == [None, "student", "student"]


def test_an_exit_is_the_network_cut_after_its_layer(make_spec, make_output, step_of):
    spec = make_spec(widths=(8,) * 4)
    output = make_output(spec)
    output.exits = (torch.zeros(4, 3), torch.ones(4, 3))
    output.logits.requires_grad_()
    scheme = SelfDistillation(weight=0.3)
    deepest, shallow, middle = scheme.lessons(scheme.pairs({"student": spec}), step_of({"student": output}))
    assert (deepest.teacher, deepest.label_weight) == (None, 1)
    assert (shallow.weight, middle.weight) == (0.3, 0.3)
    assert shallow.label_weight == pytest.approx(0.7)
    assert middle.learner.logits is output.exits[1]
    assert shallow.learner.logits is output.exits[0]
    assert middle.learner.exits == ()
    assert middle.learner.hidden_states is output.hidden_states
    assert middle.learner.attention_scores is output.attention_scores
    assert not middle.teacher.logits.requires_grad


def test_the_deepest_exit_moves_by_its_labels_alone(make_spec, step_of, parts_of):
    """Exit (0, 0), deepest (ln 3, 0), label 0: 0.7 ln 2 + 0.3 KL((3/4, 1/4) || (1/2, 1/2)) and ln 4/3."""
    deepest = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    shallow = torch.zeros(1, 2, requires_grad=True)
    output = ModelOutput(deepest, torch.ones(1, 1, dtype=torch.bool), exits=(shallow,))
    specs = {"student": make_spec(widths=(8, 8, 8), classes=2)}
    parts = parts_of(SelfDistillation(), specs, step_of({"student": output}, labels=[0]))
    assert parts["label_loss/student"].item() == pytest.approx(math.log(4 / 3), abs=1e-6)
    assert parts["label_loss/exit1"].item() == pytest.approx(0.7 * math.log(2), abs=1e-6)
    assert parts["kd/kl/exit1<-student"].item() == pytest.approx(0.3 * 0.130812, abs=1e-6)
    parts["kd/kl/exit1<-student"].backward()
    assert deepest.grad is None
    assert shallow.grad.abs().sum() > 0


def test_exits_are_scored_by_name(make_spec, make_output):
    output = make_output(make_spec())
    output.exits = (torch.zeros(4, 3),)
    assert set(SelfDistillation().predictions({"student": output})) == {"student", "exit1"}


def test_one_layer_leaves_no_earlier_exit(make_spec):
    with pytest.raises(UserError, match=r"student.num_hidden_layers=2"):
        SelfDistillation().pairs({"student": make_spec(widths=(8, 8))})


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_is_a_share(weight):
    with pytest.raises(UserError, match=r"scheme.weight"):
        SelfDistillation(weight)
