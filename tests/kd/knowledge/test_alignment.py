import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kd.knowledge.alignment import Alignment, ByText, ByWord, alignment, other_tokenizer, present, to_words
from potstill.errors import UserError

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


def test_the_words_that_both_sides_have(make_spec):
    batch = {"words": {"a": torch.tensor([[-1, 0, 1, 1]]), "b": torch.tensor([[0, 0, 2]])}, "word_count": 3}
    by_word = alignment(make_spec(tokenizer="a"), make_spec(tokenizer="b"))
    assert by_word == ByWord("a", "b")
    assert by_word.real(torch.ones(1, 4).bool(), batch).tolist() == [[True, False, False]]
    assert by_word.learner(torch.arange(4.0)[None, :, None], batch).flatten().tolist() == [1, 2.5, 0]
    assert by_word.teacher(torch.arange(3.0)[None, :, None], batch).flatten().tolist() == [0.5, 0, 2]


def test_one_tokenizer_needs_none(make_spec):
    spec, mask = make_spec(), torch.tensor([[True, False]])
    assert type(alignment(spec, spec)) is Alignment
    assert alignment(spec, spec).real(mask, {}) is mask
    assert ByText().real(mask, {}).tolist() == [True]
    assert other_tokenizer(spec, spec) is None
    assert "different tokenizers" in other_tokenizer(spec, make_spec(tokenizer="b"))


def test_unknown_pieces_are_refused():
    with pytest.raises(UserError, match="pieces='last' is none of mean, first, max"):
        ByWord("a", "b", "last")
