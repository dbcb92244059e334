import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from data.regression import Regression
from potstill.errors import UserError

TASK = Regression(("score",))


def test_numbers_and_what_is_none():
    assert TASK.encode("3.5", "") == 3.5
    assert [TASK.encode(label, "") for label in ("abc", "nan", "inf")] == [None] * 3
    assert math.isnan(TASK.missing)
    assert TASK.complaint("abc", "")[0] == "the label 'abc' is no number"
    assert TASK.columns == ()


def test_a_row_without_label_costs_nothing():
    logits, labels = torch.tensor([[1.0], [2.0], [5.0]], requires_grad=True), torch.tensor([2.0, 4.0, math.nan])
    loss = TASK.loss(logits, labels)
    loss.backward()
    assert loss.item() == pytest.approx((1 + 4) / 3)
    assert logits.grad.flatten().tolist() == pytest.approx([-2 / 3, -4 / 3, 0])
    assert TASK.loss(logits[:2], labels[:2]).item() == pytest.approx(F.mse_loss(logits[:2, 0], labels[:2]).item())


def test_scores():
    scores = TASK.metrics()(TASK.predictions(torch.tensor([[1.0], [2.0], [9.0]])), torch.tensor([1.0, 2.0, 3.0]))
    assert scores["spearman"].item() == pytest.approx(1, abs=1e-4)
    assert scores["pearson"].item() == pytest.approx(np.corrcoef([1, 2, 9], [1, 2, 3])[0, 1])
    assert (TASK.metric, TASK.line(1.5, torch.tensor(2.0))) == ("pearson", ["1.5", "2.0000000"])


def test_one_name_for_the_number():
    assert TASK.names(["1", "2"], None) == ("score",)
    assert TASK.names([], ["closeness"]) == ("closeness",)
    with pytest.raises(UserError, match=r"data\.labels: one name"):
        TASK.names([], ["a", "b"])
