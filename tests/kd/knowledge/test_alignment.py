import pytest
import torch

from kd.knowledge.alignment import Alignment, ByText, ByWord, alignment, other_tokenizer
from potstill.errors import UserError


def test_the_words_that_both_sides_have(make_spec, in_words):
    batch = in_words(3, a=[[-1, 0, 1, 1]], b=[[0, 0, 2]])
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
