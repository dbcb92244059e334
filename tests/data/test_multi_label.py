import pytest
import torch
from torch.nn import functional as F

from data.multi_label import MultiLabel, split_up
from potstill.errors import UserError

TASK = MultiLabel(("a", "b", "c"))


def test_labels_of_a_row():
    assert split_up("a|b") == split_up(" a | b ") == split_up('["a", "b"]') == ["a", "b"]
    assert split_up("|") == split_up("[]") == []
    assert TASK.encode("a|c", "") == [1, 0, 1]
    assert TASK.encode("|", "") == [0, 0, 0]
    assert TASK.encode("a|z", "") is None
    assert TASK.missing == [-100] * 3


def test_names_are_those_of_all_rows():
    assert TASK.names(["b|a", '["c"]', "|"], None) == ("a", "b", "c")
    assert TASK.names([], ["z", "y"]) == ("z", "y")
    with pytest.raises(UserError, match="one class at least"):
        TASK.names(["|"], None)


def test_a_row_without_label_costs_nothing():
    logits = torch.randn(3, 3, requires_grad=True)
    labels = torch.tensor([[1, 0, 1], [0, 0, 0], [-100] * 3])
    loss = TASK.loss(logits, labels)
    loss.backward()
    known = F.binary_cross_entropy_with_logits(logits[:2], labels[:2].float(), reduction="sum")
    assert loss.item() == pytest.approx(known.item() / 3, rel=1e-5)
    assert logits.grad[2].eq(0).all()


def test_scores_and_lines():
    logits, labels = torch.tensor([[2.0, -1.0, 1.0], [-1.0, -1.0, 3.0]]), torch.tensor([[1, 0, 0], [0, 0, 1]])
    scores = TASK.metrics()(TASK.predictions(logits), labels)
    assert scores["f1"].item() == pytest.approx(2 * 2 / (3 + 2))
    assert scores["exact_match"].item() == 0.5
    assert TASK.line([1, 0, 0], TASK.predictions(logits[0]))[:2] == ["a", "a|c"]
