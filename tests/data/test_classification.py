import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from data.classification import Classification
from potstill.errors import UserError

TASK = Classification(("a", "b", "c"))
LOGITS = torch.tensor([[3.0, 0, 0], [0, 3, 0], [0, 3, 0], [0, 0, 3], [3, 0, 0]])
LABELS = torch.tensor([0, 1, 0, 2, 1])


@settings(max_examples=50, deadline=None)
@given(labels=st.lists(st.sampled_from([-100, 0, 1, 2]), min_size=1, max_size=12), seed=st.integers(0, 10**6))
def test_the_loss_is_the_sum_over_labelled_rows_divided_by_all(labels, seed):
    logits = torch.randn(len(labels), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        if label != -100:
            total -= (row[label].exp() / row.exp().sum()).log()
    torch.testing.assert_close(
        TASK.loss(logits, torch.tensor(labels)), torch.as_tensor(total / len(labels), dtype=torch.float64)
    )


def test_a_batch_without_any_label_gives_zero_that_can_be_propagated():
    logits = torch.randn(4, 3, requires_grad=True)
    loss = TASK.loss(logits, torch.full((4,), -100))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros(4, 3))


def test_rows_without_label_get_no_gradient():
    logits = torch.randn(3, 3, requires_grad=True)
    TASK.loss(logits, torch.tensor([1, -100, 2])).backward()
    assert logits.grad.abs().sum(1).gt(0).tolist() == [True, False, True]


def test_the_scores_are_those_worked_out_by_hand():
    """Per class (true positives, false positives, false negatives): (1, 1, 1), (1, 1, 1), (1, 0, 0)."""
    scores = TASK.metrics()(LOGITS, LABELS)
    assert scores["accuracy"].item() == pytest.approx(3 / 5)
    assert scores["f1"].item() == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert scores["matthews_correlation"].item() == pytest.approx((3 * 5 - 9) / (25 - 9))


def test_scores_add_up_over_batches():
    metrics = TASK.metrics()
    for rows in (slice(0, 1), slice(1, 5)):
        metrics.update(LOGITS[rows], LABELS[rows])
    assert metrics.compute()["accuracy"].item() == pytest.approx(3 / 5)


def test_counters_are_fresh_each_time():
    TASK.metrics().update(LOGITS, LABELS)
    assert TASK.metrics()(LOGITS[:1], LABELS[:1])["accuracy"].item() == 1


@pytest.mark.parametrize("metric", ["accuracy", "f1", "matthews_correlation"])
def test_the_score_of_the_report_can_be_any_of_them(metric):
    assert metric in Classification(("a", "b"), metric).metrics()


def test_an_unknown_score_is_refused_with_those_known():
    with pytest.raises(UserError, match=r"data\.metric: 'auc' is none of accuracy, f1, matthews_correlation"):
        Classification(("a", "b"), "auc")
