import math

import pytest
import torch

from kd.schemes.joint import Joint
from models.sources import Folder
from models.transformer import Pretrained
from potstill.errors import UserError

TUTOR = Pretrained(Folder("tutor"))


def said():
    student = torch.zeros(1, 2, requires_grad=True)
    tutor = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    return {"student": student, "tutor": tutor}


@pytest.fixture
def specs(make_spec):
    return {name: make_spec(classes=2) for name in ("student", "tutor")}


def test_the_tutor_learns_from_labels_alone(specs, step_of, parts_of):
    both = said()
    parts = parts_of(Joint(TUTOR, 1e-4), specs, step_of(both, labels=[0]))
    assert set(parts) == {"label_loss/student", "label_loss/tutor", "kd/kl/student<-tutor"}
    assert parts["kd/kl/student<-tutor"].item() == pytest.approx(0.130812, abs=1e-6)
    assert parts["label_loss/tutor"].item() == pytest.approx(math.log(4 / 3), abs=1e-6)
    parts["kd/kl/student<-tutor"].backward()
    assert both["tutor"].grad is None
    assert both["student"].grad.abs().sum() > 0


def test_the_tutor_has_a_learning_rate_of_its_own():
    assert Joint(TUTOR, 1e-4).peers()["tutor"].learning_rate == 1e-4


def test_without_a_network_there_is_no_tutor():
    with pytest.raises(UserError, match="teacher=none"):
        Joint(None, 1e-4)
