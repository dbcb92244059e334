import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from data.words import of_characters, word_numbers
from models.words import word_tokenizer

TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("ab éx\u0301 \U0001f600\t\u3000")), max_size=40)


@pytest.fixture(scope="module")
def tokenizers():
    """One that cuts at punctuation, and one that works on bytes and keeps the space before a word."""
    corpus = ["the film is a-b good , naïve 😀 x\u0301", "what an ending"]
    bytes_ = Tokenizer(models.BPE())
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    bytes_.train_from_iterator(corpus, trainer)
    return [word_tokenizer(corpus, 100), PreTrainedTokenizerFast(tokenizer_object=bytes_)]


def numbers(tokenizer, *texts, limit=50, **options):
    return word_numbers(texts, tokenizer(*texts, **options).encodings[0], limit)


def test_characters_by_hand():
    assert of_characters(" a bc\u3000d ").tolist() == [-1, 0, -1, 1, 1, -1, 2, -1]
    assert of_characters("").tolist() == []


@given(TEXTS)
def test_characters_are_in_the_words_of_split(text):
    found = of_characters(text)
    for number, word in enumerate(text.split()):
        assert "".join(np.array(list(text), dtype=object)[found == number]) == word
    assert found.max(initial=-1) == len(text.split()) - 1


def test_pieces_and_special_tokens(tokenizers):
    words, bytes_ = tokenizers
    assert numbers(words, "a-b film").tolist() == [-1, 0, 0, 0, 1, -1]
    assert set(numbers(bytes_, "a-b film").tolist()) == {0, 1}


def test_a_pair_and_a_cut_text(tokenizers):
    words, _ = tokenizers
    assert numbers(words, "a film", "the ending").tolist() == [-1, 0, 1, -1, 50, 51, -1]
    assert numbers(words, "a film is good", truncation=True, max_length=4).tolist() == [-1, 0, 1, -1]
    assert numbers(words, "a film is good", limit=2).tolist() == [-1, 0, 1, -1, -1, -1]


@given(text=TEXTS)
def test_every_piece_is_of_the_word_in_which_it_ends(tokenizers, text):
    spans = [match.span() for match in re.finditer(r"\S+", text)]
    for tokenizer in tokenizers:
        encoding = tokenizer(text).encodings[0]
        found = word_numbers([text], encoding, 1000)
        for number, (start, end), side in zip(found, encoding.offsets, encoding.sequence_ids, strict=True):
            if side is None or start == end:
                assert number == -1
            elif number >= 0:
                assert spans[number][0] < end <= spans[number][1]
            else:
                assert text[end - 1].isspace()
