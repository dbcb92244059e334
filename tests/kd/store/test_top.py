import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.store import top

LOGITS = 3 * torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(0))


def restored(logits, count):
    return top.restore(top.compress(logits, count), logits.shape[-1])


def test_the_largest_keep_their_probabilities_and_the_rest_its_sum():
    before, after = LOGITS.softmax(-1), restored(LOGITS, 7).softmax(-1)
    largest = LOGITS.topk(7, dim=-1).indices
    torch.testing.assert_close(after.gather(-1, largest), before.gather(-1, largest))
    torch.testing.assert_close(after.sum(-1), torch.ones(2, 5))
    others = after.scatter(-1, largest, -1.0)
    assert all(len(row[row >= 0].unique()) == 1 for row in others.flatten(0, 1))


def test_by_hand():
    """Of logits 0, 0, ln 2: the largest has 2/4, the others share 2/4."""
    after = restored(torch.tensor([[[0.0, 0.0, 0.6931472]]]), 1)
    assert after.softmax(-1).flatten().tolist() == pytest.approx([0.25, 0.25, 0.5])


@given(count=st.integers(1, 39))
def test_logits_come_back_where_they_were_kept(count):
    after = restored(LOGITS, count)
    largest = LOGITS.topk(count, dim=-1)
    torch.testing.assert_close(after.gather(-1, largest.indices), largest.values)


def test_at_another_temperature_the_largest_keep_their_proportions():
    before, after = (LOGITS / 4).softmax(-1), (restored(LOGITS, 7) / 4).softmax(-1)
    largest = LOGITS.topk(7, dim=-1).indices
    ratio = after.gather(-1, largest) / before.gather(-1, largest)
    torch.testing.assert_close(ratio, ratio[..., :1].expand_as(ratio))
