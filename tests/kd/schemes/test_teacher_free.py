import math

import pytest
import torch
from torch.nn import functional as F

from kd.schemes.teacher_free import TeacherFree
from potstill.errors import UserError

Z = torch.tensor([[1.0, 2.0, -1.0]])


def test_the_made_up_teacher(make_spec, step_of, lesson_of):
    lesson = lesson_of(TeacherFree(temperature=20.0), {"student": make_spec()}, step_of({"student": Z}, labels=[0]))
    target = lesson.teacher.logits.softmax(-1)[0].tolist()
    assert target == pytest.approx([0.344366, 0.327817, 0.327817], abs=1e-6)


def test_the_loss_of_one_row(make_spec, step_of, parts_of):
    specs, step = {"student": make_spec()}, step_of({"student": Z}, labels=[0])
    parts = parts_of(TeacherFree(weight=0.25), specs, step)
    assert parts["kd/kl/student<-by_hand"].item() == pytest.approx(0.25 * 0.578489, abs=1e-6)
    gold = F.cross_entropy(Z, torch.tensor([0])).item()
    assert parts["label_loss/student"].item() == pytest.approx(0.75 * gold, rel=1e-6)


def test_the_softest_teacher_knows_nothing(make_spec, step_of, parts_of):
    step = step_of({"student": Z}, labels=[0])
    parts = parts_of(TeacherFree(weight=1.0, temperature=1e6), {"student": make_spec()}, step)
    assert parts["kd/kl/student<-by_hand"].item() == pytest.approx(0.583733, abs=1e-5)


def test_a_teacher_that_is_not_softened_smooths_the_labels(make_spec, step_of, parts_of):
    """Of three classes, 0.9 for the true one is torch's smoothing by 0.15."""
    step = step_of({"student": Z}, labels=[0])
    smoothed = F.cross_entropy(Z, torch.tensor([0]), label_smoothing=0.15).item()
    parts = parts_of(TeacherFree(1.0, correct=0.9, temperature=None), {"student": make_spec()}, step)
    p = torch.tensor([0.9, 0.05, 0.05])
    assert parts["kd/kl/student<-by_hand"].item() == pytest.approx(smoothed + (p * p.log()).sum().item(), abs=1e-6)


def test_a_certain_teacher_among_two():
    assert TeacherFree(correct=1.0).probabilities(torch.tensor([1]), 2).tolist() == [[0, 1]]
    assert math.isclose(TeacherFree(correct=0.9).probabilities(torch.tensor([1]), 2).sum().item(), 1, rel_tol=1e-6)


@pytest.mark.parametrize("options", [{"weight": 2}, {"correct": -1}, {"temperature": 0}])
def test_what_cannot_be(options):
    with pytest.raises(UserError, match=f"scheme.{next(iter(options))}"):
        TeacherFree(**options)
