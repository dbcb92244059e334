import math

import pytest
import torch

from kd.moment import Moment
from kd.schemes.native_ensemble import NativeEnsemble
from models.output import Field, ModelOutput
from potstill.errors import UserError

END = Moment(1, 1)


@pytest.fixture
def specs(make_spec):
    return {"student": make_spec(widths=(8, 8, 8), classes=2)}


@pytest.fixture
def scheme(specs):
    torch.manual_seed(0)
    scheme = NativeEnsemble(branches=2)
    scheme.connect(specs)
    return scheme


def saying(*branches, rows=1):
    mask = torch.ones(rows, 1, dtype=torch.bool)
    return ModelOutput(branches[0], mask, mean_states={2: torch.randn(rows, 8)}, exits=branches[1:])


def undecided(scheme):
    torch.nn.init.zeros_(scheme.gate[1].weight)
    torch.nn.init.zeros_(scheme.gate[1].bias)


def test_branches_stand_on_the_last_layer(specs):
    scheme = NativeEnsemble(branches=3)
    assert scheme.exits(specs) == (2, 2)
    assert list(map(str, scheme.pairs(specs))) == [
        "gate<-labels",
        "student<-gate",
        "branch2<-gate",
        "branch3<-gate",
    ]
    assert scheme.requires(specs) == {"student": {Field("mean_states", 2)}}


def test_an_undecided_gate_takes_the_mean(scheme, specs):
    undecided(scheme)
    one, other = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert scheme.together(saying(one, other)).tolist() == [[1, 2]]


def test_branches_of_one_mind_learn_from_labels_alone(scheme, specs, step_of, parts_of):
    logits = torch.zeros(1, 2)
    parts = parts_of(scheme, specs, step_of({"student": saying(logits, logits)}, labels=[0], moment=END))
    losses = {name: part.item() for name, part in parts.items()}
    assert losses == {
        "label_loss/gate": pytest.approx(math.log(2)),
        "label_loss/student": pytest.approx(math.log(2)),
        "label_loss/branch2": pytest.approx(math.log(2)),
        "kd/kl/student<-gate": pytest.approx(0, abs=1e-6),
        "kd/kl/branch2<-gate": pytest.approx(0, abs=1e-6),
    }


def test_the_labels_move_the_gate_and_what_it_says_does_not(scheme, specs, step_of, parts_of):
    one = torch.tensor([[math.log(3), 0.0], [0.5, 0.0]], requires_grad=True)
    other = torch.zeros(2, 2, requires_grad=True)
    step = step_of({"student": saying(one, other, rows=2)}, labels=[0, 1], moment=END)
    parts = parts_of(scheme, specs, step)
    parts["kd/kl/branch2<-gate"].backward(retain_graph=True)
    assert one.grad is None
    assert other.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in scheme.parameters())
    parts["label_loss/gate"].backward()
    assert one.grad.abs().sum() > 0
    assert scheme.gate[1].weight.grad.abs().sum() > 1e-3


def test_what_the_gate_says_counts_for_more_and_more(scheme, specs, step_of, parts_of):
    undecided(scheme)
    said = saying(torch.tensor([[2 * math.log(3), 0.0]]), torch.zeros(1, 2))  # together (ln 3, 0)
    for update, ramp in ((0, 0.0067379), (40, 0.286505), (80, 1)):
        step = step_of({"student": said}, labels=[0], moment=Moment(update, 320))
        parts = parts_of(scheme, specs, step)
        assert parts["kd/kl/branch2<-gate"].item() == pytest.approx(ramp * 0.130812, abs=1e-5)


def test_one_branch_is_no_ensemble():
    with pytest.raises(UserError, match=r"scheme.branches: 1"):
        NativeEnsemble(branches=1)
