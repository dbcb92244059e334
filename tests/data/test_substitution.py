import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM

from data.substitution import Substitution
from models.words import word_tokenizer
from potstill import fingerprint
from potstill.errors import UserError

VECTORS = {
    "dull": (1.0, 0.1),
    "boring": (1.0, 0.2),
    "bland": (0.9, 0.1),
    "film": (0.0, 1.0),
    "movie": (0.1, 1.0),
    "the": (0.5, 0.5),
    "and": (0.5, 0.6),
}


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {a} {b}\n" for word, (a, b) in VECTORS.items()))
    return str(path)


@pytest.fixture
def model(tmp_path):
    """A masked language model of random weights whose tokenizer cuts `unbearable` into pieces."""
    tokenizer = word_tokenizer(["the dull film and the bland movie story plot boring"], 100)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    torch.manual_seed(0)
    BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return str(tmp_path)


def variants(how, text="the dull film and 3", count=100):
    vary = how.learnt([])(text)
    draw = np.random.default_rng(0)
    return [vary(draw) for _ in range(count)]


def test_words_become_near_ones_but_stop_words_and_numbers_do_not(vectors):
    said = [text.split() for text in variants(Substitution(vectors=vectors, candidates=2, replaced=0.5))]
    assert {words[0] for words in said} == {"the"}
    assert {words[1] for words in said} == {"dull", "boring", "bland"}
    assert {words[2] for words in said} == {"film", "movie", "and"}
    assert {tuple(words[3:]) for words in said} == {("and", "3")}
    assert np.mean([words[1] != "dull" for words in said]) == pytest.approx(0.5, abs=0.15)


def test_one_candidate_and_certainty_leave_one_variant(vectors):
    assert set(variants(Substitution(vectors=vectors, candidates=1, replaced=1.0))) == {"the bland movie and 3"}
    assert set(variants(Substitution(vectors=vectors, replaced=0.0))) == {"the dull film and 3"}


def test_unknown_words_stay(vectors):
    assert set(variants(Substitution(vectors=vectors, replaced=1.0), "zzz")) == {"zzz"}


def test_a_language_model_is_asked_for_words_of_one_piece(model, vectors):
    how = Substitution(model=model, vectors=vectors, candidates=3)
    words = ["the", "dull", "unbearable", "movie"]
    likely = how.likely(words)
    tokenizer, network = how._language_model
    assert len(tokenizer("unbearable", add_special_tokens=False)["input_ids"]) > 1
    assert [len(some) for some in likely] == [0, 3, 0, 3]
    masked = tokenizer(" ".join(words).replace("dull", "[MASK]"), return_tensors="pt")
    place = masked["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    order = network(input_ids=masked["input_ids"]).logits[0, place].argsort(descending=True)
    best = [token for token in tokenizer.convert_ids_to_tokens(order.tolist()) if token.isalpha() and token != "dull"]
    assert likely[1] == best[:3]


def test_a_word_of_several_pieces_is_left_to_the_vectors(model, vectors, tmp_path):
    with open(vectors, "a") as file:
        file.write("unbearable 1.0 0.15\n")
    assert set(Substitution(model=model, vectors=vectors, candidates=2).likely(["unbearable"])[0]) == {
        "bland",
        "boring",
    }
    assert Substitution(model=model).likely(["unbearable"]) == [[]]


def test_a_text_that_is_too_long_for_the_model_keeps_its_end(model):
    likely = Substitution(model=model).likely(["dull"] * 600)
    assert likely[0]
    assert likely[-1] == []


def test_other_files_of_the_same_name_are_another_state(model, vectors):
    how = Substitution(model=model, vectors=vectors)
    before = how.state()
    assert how.state() == before
    with open(vectors, "a") as file:
        file.write("story 0.2 0.9\n")
    assert how.state() != before
    assert Substitution(model="google-bert/bert-base-uncased").state() == fingerprint.of_files([])


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({}, "name a masked language model, word vectors, or both"),
        ({"vectors": "x", "replaced": 2}, "data.augmentation.replaced: 2 is no probability"),
        ({"vectors": "x", "candidates": 0}, "data.augmentation.candidates: 0 is not a whole number above 0"),
    ],
)
def test_what_cannot_be(settings, reason):
    with pytest.raises(UserError, match=reason):
        Substitution(**settings)


def test_files_that_are_not_there_or_not_what_they_should_be(tmp_path):
    with pytest.raises(UserError, match=r"data\.augmentation\.vectors: .*nothing.txt"):
        Substitution(vectors=f"{tmp_path}/nothing.txt").likely(["film"])
    (tmp_path / "odd.txt").write_text("film one two\n")
    with pytest.raises(UserError, match=r"data\.augmentation\.vectors: .*odd.txt"):
        Substitution(vectors=f"{tmp_path}/odd.txt").likely(["film"])
    with pytest.raises(UserError, match=r"data\.augmentation\.model: "):
        Substitution(model=f"{tmp_path}/none").likely(["film"])
