import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.store import ragged

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=5)


@given(lengths=LENGTHS, wider=st.integers(0, 3), positions=st.sampled_from([(), (1,), (2,), (2, 3), (1, 2)]))
def test_rows_come_back_with_zeros_for_padding(lengths, wider, positions):
    width = max(lengths)
    shape = [len(lengths), *(width if number in positions else number + 1 for number in (1, 2, 3))]
    batch = torch.randn(shape)
    row_shape, rows = ragged.cut(batch, positions, lengths)
    back = ragged.pad(rows, row_shape, lengths, width + wider)
    for number, length in enumerate(lengths):
        real = tuple(slice(length) if size == ragged.LENGTH else slice(None) for size in row_shape)
        assert torch.equal(back[number][real], batch[number][real])
        assert rows[number].numel() == batch[number][real].numel()
        assert back[number].count_nonzero() == batch[number][real].count_nonzero()
    assert all(back.shape[place] == width + wider for place in positions)


def test_nothing_of_the_padding_is_kept():
    shape, rows = ragged.cut(torch.arange(24.0).view(2, 4, 3), (1,), [1, 3])
    assert shape == (-1, 3)
    assert [row.tolist() for row in rows] == [[0, 1, 2], list(range(12, 21))]
