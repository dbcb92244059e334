import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.exits import ExitHeads, mean_of_real

WIDTHS = (5, 6, 7, 8)
MASK = torch.tensor([[1, 1, 1], [1, 1, 0]], dtype=torch.bool)


def states():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, width, generator=generator) for width in WIDTHS]


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5))
def test_the_mean_is_that_of_the_real_positions(lengths):
    values = torch.randn(len(lengths), 6, 4)
    mask = torch.arange(6) < torch.tensor(lengths)[:, None]
    means = mean_of_real(values, mask)
    for row, (mean, length) in enumerate(zip(means, lengths, strict=True)):
        expected = values[row, :length].mean(0) if length else torch.zeros(4)
        torch.testing.assert_close(mean, expected)


def test_each_exit_reads_its_own_layer():
    heads = ExitHeads([1, 3], [6, 8], classes=2).eval()
    before = heads(states(), MASK)
    changed = states()
    changed[3] += 1
    after = heads(changed, MASK)
    assert [logits.shape for logits in after] == [(2, 2), (2, 2)]
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def test_padding_changes_nothing():
    heads = ExitHeads([2], [7], classes=3).eval()
    noisy = states()
    noisy[2][1, 2] = 1e4
    torch.testing.assert_close(heads(states(), MASK), heads(noisy, MASK))


def test_exits_are_trained_together():
    heads = ExitHeads([1, 2], [6, 7], classes=2)
    sum(logits.sum() for logits in heads(states(), MASK)).backward()
    assert all(parameter.grad is not None for parameter in heads.parameters())
    assert len(list(heads.parameters())) == 8
