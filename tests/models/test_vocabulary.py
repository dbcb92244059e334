import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast

from models.vocabulary import can_be_cut, cut_vocabulary
from models.words import SPECIAL

PIECES = ["un", "##able", "##ab", "##le", "walk", "walks", "##ing", "##s", "film", "a", "##zz", "7"]
LETTERS = [mark + letter for letter in "abcdefgiklmnrsuwz7" for mark in ("", "##")]
VOCABULARY = {piece: number for number, piece in enumerate(dict.fromkeys([*SPECIAL.values(), *PIECES, *LETTERS]))}
WORDS = st.text(alphabet="abfgiklmnsuw7", min_size=1, max_size=9)
TEXTS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)


@pytest.fixture(scope="module")
def whole():
    return BertTokenizer(vocab=VOCABULARY, model_max_length=77)


def used_in(tokenizer, texts):
    return {number for ids in tokenizer(texts)["input_ids"] for number in ids}


@given(texts=st.lists(TEXTS, min_size=1, max_size=5))
def test_texts_that_it_was_cut_for_are_cut_at_the_same_places(whole, texts):
    cut = cut_vocabulary(whole, used_in(whole, texts))
    for text in texts:
        ours, theirs = cut(text), whole(text)
        assert cut.convert_ids_to_tokens(ours["input_ids"]) == whole.convert_ids_to_tokens(theirs["input_ids"])
        assert list(ours) == list(theirs)


@given(text=TEXTS, other=TEXTS)
def test_ids_are_numbered_anew_without_gaps(whole, text, other):
    cut = cut_vocabulary(whole, used_in(whole, [text]))
    assert sorted(cut.get_vocab().values()) == list(range(len(cut)))
    assert max(cut(other)["input_ids"]) < len(cut)
    kept = sorted(cut.get_vocab(), key=cut.get_vocab().get)
    assert kept == sorted(kept, key=VOCABULARY.get)


def test_other_words_fall_into_pieces_and_other_letters_are_unknown(whole):
    cut = cut_vocabulary(whole, used_in(whole, ["walking", "film"]))
    assert cut.tokenize("walk film filming") == ["walk", "film", "film", "##ing"]
    assert cut.tokenize("walks") == ["[UNK]"]  # no s in the texts
    assert cut.tokenize("milk") == ["m", "##i", "##l", "##k"]


def test_pairs_and_special_tokens_are_as_before(whole):
    cut = cut_vocabulary(whole, used_in(whole, ["a film"]))
    pair = cut("a film", "film")
    assert cut.convert_ids_to_tokens(pair["input_ids"]) == ["[CLS]", "a", "film", "[SEP]", "film", "[SEP]"]
    assert pair["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert cut.special_tokens_map == whole.special_tokens_map
    assert cut.model_max_length == 77
    assert cut.decode(pair["input_ids"], skip_special_tokens=True) == "a film film"


def test_added_tokens_stay(whole):
    more = BertTokenizer(vocab=VOCABULARY)
    more.add_tokens(["<ent>", "<never>"])
    cut = cut_vocabulary(more, used_in(more, ["a <ent> film"]))
    assert cut.tokenize("a <ent> film <never>") == ["a", "<ent>", "film", "<never>"]
    assert max(cut("a <ent> <never>")["input_ids"]) < len(cut)


def test_it_is_saved_and_loaded(whole, tmp_path):
    cut = cut_vocabulary(whole, used_in(whole, ["a film"]))
    cut.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again("a filmable film", "a")["input_ids"] == cut("a filmable film", "a")["input_ids"]
    assert "walk" not in json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]


def test_only_a_tokenizer_that_takes_the_longest_piece_can_be_cut(whole):
    assert can_be_cut(whole)
    assert not can_be_cut(PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE(vocab={"a": 0}, merges=[]))))
