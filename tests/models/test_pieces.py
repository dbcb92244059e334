import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.pieces import present, to_words

WORDS = st.lists(st.lists(st.integers(-1, 4), min_size=6, max_size=6), min_size=1, max_size=3)
STATES = torch.tensor([[[9.0, 9], [1, 4], [3, 2], [5, 5], [9, 9]]])
OF = torch.tensor([[-1, 0, 0, 2, -1]])


def test_words_by_hand():
    assert to_words(STATES, OF, 3, "mean").tolist() == [[[2, 3], [0, 0], [5, 5]]]
    assert to_words(STATES, OF, 3, "first").tolist() == [[[1, 4], [0, 0], [5, 5]]]
    assert to_words(STATES, OF, 3, "max").tolist() == [[[3, 4], [0, 0], [5, 5]]]
    assert present(OF, 3).tolist() == [[True, False, True]]


@pytest.mark.parametrize("pieces", ["mean", "first", "max"])
@given(words=WORDS)
def test_words_equal_a_loop(pieces, words):
    words = torch.tensor(words)
    states = torch.randn(*words.shape, 2, generator=torch.Generator().manual_seed(0))
    found = to_words(states, words, 5, pieces)
    for row in range(len(words)):
        for word in range(5):
            mine = states[row][words[row] == word]
            if not len(mine):
                assert found[row, word].eq(0).all()
                continue
            expected = {"mean": mine.mean(0), "first": mine[0], "max": mine.amax(0)}[pieces]
            torch.testing.assert_close(found[row, word], expected)


@pytest.mark.parametrize("pieces", ["mean", "first", "max"])
def test_gradients_reach_the_pieces(pieces):
    states = torch.randn(1, 5, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: to_words(x, OF, 3, pieces), states)


def test_the_probability_of_a_word_is_that_of_its_pieces_together():
    words = torch.tensor([[0, 1, 1, -1, 3], [-1, 0, 0, 0, -1]])
    logits = torch.randn(2, 5, 2, dtype=torch.double)
    found = to_words(logits, words, 4, "logsumexp")
    expected = logits[0, [1, 2]].logsumexp(0)
    torch.testing.assert_close(found[0, 1], expected)
    torch.testing.assert_close(found[1, 0], logits[1, 1:4].logsumexp(0))
    assert found[0, 0].equal(logits[0, 0])
    assert found[0, 2].eq(0).all()
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda some: to_words(some, words, 4, "logsumexp"), logits)
    assert to_words(1e4 * logits.detach().bfloat16(), words, 4, "logsumexp").isfinite().all()
