import math

import pytest
import torch

from kd.schemes.mutual import Mutual

SPECS = {"student": None, "peer": None}


def two():
    student = torch.zeros(1, 2, requires_grad=True)
    peer = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    return {"student": student, "peer": peer}


def test_each_of_two_gets_the_divergence_from_the_other(step_of, parts_of):
    """z = (0, 0) against (ln 3, 0): KL(p2 || p1) for the first, KL(p1 || p2) for the second."""
    parts = parts_of(Mutual(), SPECS, step_of(two()))
    assert parts["kd/kl/student<-peer"].item() == pytest.approx(0.130812, abs=1e-6)
    assert parts["kd/kl/peer<-student"].item() == pytest.approx(0.143841, abs=1e-6)


def test_who_teaches_gets_no_gradient(step_of, parts_of):
    said = two()
    parts_of(Mutual(), SPECS, step_of(said))["kd/kl/student<-peer"].backward()
    assert said["student"].grad.abs().sum() > 0
    assert said["peer"].grad is None


def test_three_average_what_two_others_say_and_learn_the_labels_once(step_of, parts_of):
    logits = {"student": torch.zeros(1, 2), "one": torch.tensor([[1.0, 0]]), "two": torch.tensor([[0, 2.0]])}
    scheme = Mutual({"one": object(), "two": object()})
    specs = dict.fromkeys(logits)
    assert len(scheme.pairs(specs)) == 6
    parts = parts_of(scheme, specs, step_of(logits, labels=[0]))
    p, q = logits["one"].softmax(-1), logits["two"].softmax(-1)
    half = torch.tensor([[0.5, 0.5]])
    expected = sum((target * (target / half).log()).sum() for target in (p, q)) / 2
    total = parts["kd/kl/student<-one"] + parts["kd/kl/student<-two"]
    assert total.item() == pytest.approx(expected.item(), abs=1e-6)
    assert parts["label_loss/student"].item() == pytest.approx(math.log(2), abs=1e-6)


def test_the_teacher_is_nobodys_peer(make_spec):
    specs = {"student": make_spec(), "peer": make_spec(), "teacher": make_spec()}
    pairs = Mutual().pairs(specs)
    assert list(map(str, pairs)) == ["student<-peer", "peer<-student"]
    assert {pair.network for pair in pairs} == {None}
