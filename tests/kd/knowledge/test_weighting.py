import torch

from kd.knowledge import weighting

LOGITS = torch.tensor([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7]]).log()
LABELS = torch.tensor([0, 0, -100])


def test_all_alike():
    assert weighting.even(LOGITS, LABELS).tolist() == [1, 1, 1]


def test_as_sure_as_the_teacher_is():
    torch.testing.assert_close(weighting.confident(LOGITS, LABELS), torch.tensor([0.8, 0.6, 0.7]))


def test_where_the_teacher_is_right():
    torch.testing.assert_close(weighting.correct(LOGITS, LABELS), torch.tensor([1.0, 0.0, 0.7]))


def test_where_there_is_no_label_and_the_teacher_is_sure():
    assert weighting.sure(LOGITS, LABELS, threshold=0.7).tolist() == [0, 0, 1]
    assert weighting.sure(LOGITS, LABELS, threshold=0.71).tolist() == [0, 0, 0]
    assert weighting.sure(LOGITS, torch.full((3,), -100), threshold=0.65).tolist() == [1, 0, 1]
