import math

import pytest
import torch
from torch.nn import functional as F

from kd.moment import Moment
from kd.schedule import Linear
from kd.schemes.neighbours import Neighbours
from models.output import ModelOutput
from potstill.errors import UserError


class Head:
    """Three classes on a line: at 0, 1 and 3, in units of their mean distance at 0, 1/2 and 3/2."""

    def class_vectors(self):
        return torch.tensor([[0.0], [1.0], [3.0]])


def scheme(**options):
    made = Neighbours(**options)
    made.after_update({"student": Head()}, {}, Moment(1))
    return made


def test_the_share_of_what_is_said_by_hand():
    near = scheme().nearness(torch.zeros(1, 3))
    half, whole, more = (math.exp(-d) / 2 for d in (0.5, 1.0, 1.5))
    assert near.flatten().tolist() == pytest.approx([0, half, more, half, 0, whole, more, whole, 0])


def test_targets_are_the_labels_where_the_student_is_right_or_knows_nothing_yet():
    logits, labels = torch.tensor([[5.0, 0, 0], [0, 5, 0]]), torch.tensor([0, 2])
    targets = scheme().targets(labels, logits)
    assert targets[0].tolist() == [1, 0, 0]
    assert targets[1].tolist() == pytest.approx([0, math.exp(-1) / 2, 1 - math.exp(-1) / 2])
    assert Neighbours().targets(labels, logits).equal(F.one_hot(labels, 3).float())
    assert targets.sum(-1).tolist() == pytest.approx([1, 1])


def test_the_loss_of_a_text_with_a_word_that_has_no_tag(make_spec, step_of, parts_of):
    logits = torch.tensor([[[0.0, 1, 0], [2, 0, 0]]])
    said = ModelOutput(logits, torch.ones(1, 2, dtype=torch.bool), rows=torch.ones(1, 2, dtype=torch.bool))
    step = step_of({"student": said}, labels=[[2, -100]])
    parts = parts_of(scheme(weight=0.25), {"student": make_spec()}, step, label_weight=0.0)
    share = math.exp(-1) / 2
    p, q = torch.tensor([share, 1 - share]), logits[0, 0].log_softmax(-1)[1:]
    expected = 0.25 * (p * (p.log() - q)).sum().item()
    assert parts["kd/kl/student<-neighbours"].item() == pytest.approx(expected, rel=1e-5)


def test_it_begins_with_the_labels(make_spec, step_of, lesson_of):
    weights = []
    for update in (0, 5, 10):
        step = step_of({"student": torch.zeros(1, 3)}, labels=[0], moment=Moment(update, 11))
        lesson = lesson_of(Neighbours(), {"student": make_spec()}, step)
        weights.append((lesson.weight, lesson.label_weight))
    assert weights == [(0, 1), (0.25, 0.75), (0.5, 0.5)]


def test_the_vectors_are_part_of_the_checkpoint():
    other = Neighbours()
    other.load_state_dict(scheme().state_dict())
    assert other.nearness(torch.zeros(1, 3)).equal(scheme().nearness(torch.zeros(1, 3)))


@pytest.mark.parametrize("weight", [2, -1, Linear(end=1.5)])
def test_what_cannot_be(weight):
    with pytest.raises(UserError, match="weight"):
        Neighbours(weight)
