import math

import pytest
import torch

from kd.schemes.joint import Joint


def said():
    student = torch.zeros(1, 2, requires_grad=True)
    tutor = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    return {"student": student, "tutor": tutor}


@pytest.fixture
def specs(make_spec):
    return {name: make_spec(classes=2) for name in ("student", "tutor")}


def test_the_tutor_learns_from_labels_alone(specs, step_of, parts_of):
    both = said()
    parts = parts_of(Joint(tutor=object()), specs, step_of(both, labels=[0]))
    assert set(parts) == {"label_loss/student", "label_loss/tutor", "kd/kl/student<-tutor"}
    assert parts["kd/kl/student<-tutor"].item() == pytest.approx(0.130812, abs=1e-6)
    assert parts["label_loss/tutor"].item() == pytest.approx(math.log(4 / 3), abs=1e-6)
    parts["kd/kl/student<-tutor"].backward()
    assert both["tutor"].grad is None
    assert both["student"].grad.abs().sum() > 0


def test_with_feedback_it_learns_from_the_student_too(specs, step_of, parts_of):
    both = said()
    parts = parts_of(Joint(tutor=object(), feedback=0.5), specs, step_of(both, labels=[0]))
    assert parts["kd/kl/tutor<-student"].item() == pytest.approx(0.5 * 0.143841, abs=1e-6)
    assert parts["label_loss/tutor"].item() == pytest.approx(math.log(4 / 3), abs=1e-6)
    parts["kd/kl/tutor<-student"].backward()
    assert both["student"].grad is None
