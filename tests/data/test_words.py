import itertools
import re

import numpy as np
import pytest
from datasets import Dataset, List, Value
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from data.module import Batches
from data.tagging import Tagging
from data.words import of_characters, passage_numbers, word_numbers, words_and_marks
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
    assert numbers(words, "a film", "the ending").tolist() == [-1, 0, 1, -1, 2, 3, -1]
    assert numbers(words, "a film is", "the ending", limit=2).tolist() == [-1, 0, 1, -1, -1, 2, 3, -1]
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


def rows(labels, feature):
    columns = {"id": [1, 2], "loose_id": [1, 2], "text": ["a film is-a film", "good"], "where": ["x", "y"]}
    return Dataset.from_dict(columns | {"label": labels}).cast_column("label", feature)


def test_a_batch_tells_the_words_of_every_tokenizer(tokenizers):
    table = rows([0, 1], Value("int64"))
    batches = Batches(table, table, tokenizers, 16, 2, 2, words=True)
    batch = batches.train.__getitems__([0, 1])
    for encoding in batch["encodings"].values():
        assert encoding["word_count"] == 4
        assert encoding["words"].shape == encoding["input_ids"].shape
        assert encoding["words"][encoding["attention_mask"] == 0].eq(-1).all()
        assert sorted(set(encoding["words"][0].tolist()) - {-1}) == [0, 1, 2, 3]
    assert batch["labels"].tolist() == [0, 1]
    plain = batches.validation.__getitems__([0, 1])["encodings"].values()
    assert not any("words" in encoding for encoding in plain)


def test_labels_of_words_that_are_cut_away_do_not_count(tokenizers):
    table = rows([[3, 4, 5, 6], [7]], List(Value("int64")))
    whole, cut = (
        Batches(table, table, tokenizers[:1], length, 2, 2, task=Tagging()).validation.__getitems__([0, 1])["labels"]
        for length in (16, 4)
    )
    assert whole.tolist() == [[3, 4, 5, 6], [7, -100, -100, -100]]
    assert cut.tolist() == [[3, 4], [7, -100]]


def test_labels_of_words_that_one_tokenizer_lacks_do_not_count(tokenizers):
    """The one that cuts into more pieces sees less of the first text than of the second."""
    table = rows([[3, 4, 5, 6], [7]], List(Value("int64")))
    batch = Batches(table, table, tokenizers, 6, 2, 2, task=Tagging()).validation.__getitems__([0, 1])
    seen = [encoding["words"][0] for encoding in batch["encodings"].values()]
    common = set(seen[0].tolist()) & set(seen[1].tolist()) - {-1}
    expected = [label if number in common else -100 for number, label in enumerate([3, 4, 5, 6])]
    assert batch["labels"][0].tolist() == expected[: batch["labels"].shape[1]]
    assert {len(set(some.tolist()) - {-1}) for some in seen} != {4}


def test_labels_of_one_length_stay_as_they_are(tokenizers):
    table = rows([[0, 1, 1], [1, 0, 0]], List(Value("int64"), length=3))
    batch = Batches(table, table, tokenizers, 16, 2, 2, words=True).train.__getitems__([1, 0])
    assert batch["labels"].tolist() == [[1, 0, 0], [0, 1, 1]]


def test_words_and_marks_by_hand():
    text = "It's 5,000 (x\u0301)\u3000né_e"
    assert [text[start:end] for start, end in words_and_marks(text)] == [
        *("It", "'", "s", "5", ",", "000", "(", "x\u0301", ")", "né_e"),
    ]
    assert words_and_marks(" \t") == []


def test_combining_marks_belong_to_their_letters_and_ideographs_stand_alone():
    def parts(text):
        return [text[start:end] for start, end in words_and_marks(text)]

    assert parts("दिल्ली में") == ["दिल्ली", "में"]
    assert parts("北京 is かな.") == ["北", "京", "is", "か", "な", "."]


@given(TEXTS)
def test_words_and_marks_leave_nothing_out_but_white_space(text):
    spans = words_and_marks(text)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
    assert "".join(text[start:end] for start, end in spans) == "".join(text.split())


def test_places_in_a_passage_by_hand(tokenizers):
    texts = ("what film", "the film is good, naïve")
    encoding = tokenizers[0](*texts).encodings[0]
    numbers = passage_numbers(texts, encoding, 50)
    assert numbers[0] == 0
    sides = np.array(encoding.sequence_ids, dtype=object)
    assert (numbers[1:][sides[1:] != 1] == -1).all()
    spans = words_and_marks(texts[1])
    for number, (start, end) in zip(numbers[sides == 1], np.array(encoding.offsets)[sides == 1], strict=True):
        first, last = spans[number - 1]
        assert first <= start < end <= last


@given(TEXTS, TEXTS)
def test_both_tokenizers_speak_of_the_same_places(tokenizers, question, passage):
    for tokenizer in tokenizers:
        numbers = passage_numbers((question, passage), tokenizer(question, passage).encodings[0], 50)
        assert set(numbers.tolist()) <= {-1, 0, *range(1, len(words_and_marks(passage)) + 1)}
