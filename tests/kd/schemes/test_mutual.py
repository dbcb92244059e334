import math

import pytest
import torch

from kd.knowledge.response import SoftTargets
from kd.objective import Objective
from kd.schemes.mutual import Mutual
from models.output import ModelOutput


def lessons_of(scheme, logits):
    mask = torch.ones(1, 1, dtype=torch.bool)
    outputs = {name: ModelOutput(values, mask) for name, values in logits.items()}
    specs = dict.fromkeys(logits)
    pairs = scheme.pairs(specs)
    return pairs, list(scheme.lessons(pairs, outputs.__getitem__))


def losses_of(pairs, lessons):
    objective = Objective({str(pair): {"response": SoftTargets(temperature=1)} for pair in pairs}, no_loss, 0.0)
    batch = {"labels": torch.tensor([-100])}
    return {str(lesson.pair): objective(lesson, batch)[f"kd/response/{lesson.pair}"] for lesson in lessons}


def no_loss(logits, labels):
    return logits.sum() * 0


def test_each_of_two_gets_the_divergence_from_the_other():
    """z = (0, 0) against (ln 3, 0): KL(p2 || p1) for the first, KL(p1 || p2) for the second."""
    student = torch.zeros(1, 2, requires_grad=True)
    peer = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    losses = losses_of(*lessons_of(Mutual(), {"student": student, "peer": peer}))
    assert losses["student<-peer"].item() == pytest.approx(0.130812, abs=1e-6)
    assert losses["peer<-student"].item() == pytest.approx(0.143841, abs=1e-6)


def test_who_teaches_gets_no_gradient():
    student = torch.zeros(1, 2, requires_grad=True)
    peer = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    losses_of(*lessons_of(Mutual(), {"student": student, "peer": peer}))["student<-peer"].backward()
    assert student.grad.abs().sum() > 0
    assert peer.grad is None


def test_three_average_what_two_others_say():
    logits = {"student": torch.zeros(1, 2), "one": torch.tensor([[1.0, 0]]), "two": torch.tensor([[0, 2.0]])}
    pairs, lessons = lessons_of(Mutual({"one": object(), "two": object()}), logits)
    assert len(pairs) == 6
    assert {lesson.weight for lesson in lessons} == {0.5}
    losses = losses_of(pairs, lessons)
    p, q = logits["one"].softmax(-1), logits["two"].softmax(-1)
    half = torch.tensor([[0.5, 0.5]])
    expected = sum((target * (target / half).log()).sum() for target in (p, q)) / 2
    total = losses["student<-one"] + losses["student<-two"]
    assert total.item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_teacher_is_nobodys_peer(make_spec):
    specs = {"student": make_spec(), "peer": make_spec(), "teacher": make_spec()}
    pairs = Mutual().pairs(specs)
    assert list(map(str, pairs)) == ["student<-peer", "peer<-student"]
    assert {pair.network for pair in pairs} == {None}
