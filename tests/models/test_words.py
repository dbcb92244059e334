import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from models.words import word_tokenizer
from potstill import fingerprint

TEXTS = ["a good film , a good story", "a bad film !", "größer"]


@pytest.fixture
def words():
    return word_tokenizer(TEXTS, 20)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text("abcdefg", min_size=1, max_size=20), min_size=1, max_size=8))
def test_no_text_of_known_letters_is_lost(parts):
    tokenizer = word_tokenizer(["abcdefg face bead cafe"], 10)
    ids = tokenizer(" ".join(parts))["input_ids"]
    assert tokenizer.unk_token_id not in ids
    pieces = tokenizer.convert_ids_to_tokens(ids)[1:-1]
    assert " ".join(pieces).replace(" ##", "") == " ".join(parts)


def test_decoding_joins_the_pieces_of_a_word(words):
    assert words.decode(words("films")["input_ids"], skip_special_tokens=True) == "films"


def test_a_known_word_is_one_token(words):
    assert words.tokenize("a Good FILM") == ["a", "good", "film"]


def test_an_unknown_word_is_read_as_the_longest_known_start_and_letters(words):
    assert words.tokenize("films") == ["film", "##s"]
    assert words.tokenize("goods") == ["good", "##s"]


def test_only_unseen_letters_are_unknown(words):
    assert "[UNK]" not in words.tokenize("dabbler")
    assert words.tokenize("zebra bad") == ["[UNK]", "bad"]


def test_the_most_frequent_words_are_taken():
    tokenizer = word_tokenizer(["one two two three three three"], 2)
    assert {"two", "three"} <= tokenizer.get_vocab().keys()
    assert "one" not in tokenizer.get_vocab()


def test_of_equally_frequent_words_the_first_of_the_alphabet_is_taken():
    assert "alpha" in word_tokenizer(["beta alpha"], 1).get_vocab()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("abcdefghij", min_size=1, max_size=4), min_size=1, max_size=60), st.integers(0, 30))
def test_the_vocabulary_is_bounded_by_words_letters_and_special_tokens(texts, size):
    letters = {letter for text in texts for letter in text}
    assert len(word_tokenizer(texts, size)) <= size + 2 * len(letters) + 5


def test_the_order_of_the_texts_does_not_count(words):
    assert fingerprint.of_tokenizer(word_tokenizer(TEXTS[::-1], 20)) == fingerprint.of_tokenizer(words)


def test_accents_and_case_are_folded_as_bert_does(words):
    assert words.tokenize("GRÖßER") == words.tokenize("großer") == ["großer"]


def test_padding_is_number_zero(words):
    assert words.pad_token_id == 0
    assert words(["a", "a bad film"], padding=True)["input_ids"][0][3:] == [0, 0]


def test_a_text_stands_between_its_marks(words):
    assert words.decode(words("a film")["input_ids"]) == "[CLS] a film [SEP]"


def test_a_pair_is_parted_by_a_mark(words):
    assert words.decode(words("a film", "bad")["input_ids"]) == "[CLS] a film [SEP] bad [SEP]"


def test_its_models_read_ids_and_mask_alone(words):
    assert set(words("a film", "bad")) == {"input_ids", "attention_mask"}


def test_it_comes_back_from_its_folder(words, tmp_path):
    words.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert fingerprint.of_tokenizer(again) == fingerprint.of_tokenizer(words)
    assert again.model_input_names == words.model_input_names
    assert again.special_tokens_map == words.special_tokens_map


def test_an_empty_text_is_its_marks_alone(words):
    assert words("")["input_ids"] == [words.cls_token_id, words.sep_token_id]
