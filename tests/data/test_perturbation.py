import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.perturbation import Perturbation
from potstill.errors import UserError

TEXTS = [
    "the film is a dull and clumsy remake of a wonderful story",
    "its makers do not care about the audience at all",
    "a moving and honest drama",
    "what a bland and tedious thriller",
]
ALONE = {"masked": 0.0, "replaced": 0.0, "cut": 0.0}


def variants(text=TEXTS[0], count=50, **settings):
    vary = Perturbation(**{**ALONE, **settings}).learnt(TEXTS)(text)
    draw = np.random.default_rng(0)
    return [vary(draw) for _ in range(count)]


def test_nothing_changes_where_nothing_is_to():
    assert set(variants()) == {TEXTS[0]}


def test_a_text_of_which_no_word_would_be_left_stays():
    assert set(variants(masked=1.0)) == {TEXTS[0]}
    assert set(variants(masked=0.5, replaced=0.5)) == {TEXTS[0]}


def test_masked_words_keep_their_places():
    words = TEXTS[0].split()
    shares = []
    for text in variants(masked=0.3, count=300, mask="<mask>"):
        said = text.split()
        assert all(ours in (theirs, "<mask>") for ours, theirs in zip(said, words, strict=True))
        shares.append(said.count("<mask>") / len(words))
    assert np.mean(shares) == pytest.approx(0.3, abs=0.03)


def test_a_word_is_replaced_by_one_that_occurs_as_the_same_part_of_speech():
    how = Perturbation()
    known: dict[str, set[str]] = {}
    for text in TEXTS:
        for word, tag in how.tagged(text):
            known.setdefault(tag, set()).add(word)
    tags = [tag for _, tag in how.tagged(TEXTS[0])]
    seen = set()
    for text in variants(replaced=0.5, count=200):
        for word, tag in zip(text.split(), tags, strict=True):
            assert word in known[tag]
            seen.add(word)
    assert {"tedious", "drama"} <= seen


def test_words_are_drawn_as_often_as_they_occur():
    """Three texts have `film`, one `drama`: as nouns they are drawn three times to one.

    Of two words each changes or not; where both would, the text stays: 1/4 + 1/2 + 1/4 * 1/2 begin with `a`.
    """
    vary = Perturbation(**{**ALONE, "replaced": 0.5}).learnt(["a film", "a film", "the film", "the drama"])("a film")
    draw = np.random.default_rng(0)
    nouns = [text.split()[1] for text in (vary(draw) for _ in range(3000)) if text.split()[0] == "a"]
    changed = np.mean([noun == "drama" for noun in nouns])
    assert changed == pytest.approx(0.25 * 0.25 / 0.875, abs=0.02)


@given(st.integers(1, 7))
def test_a_cut_leaves_an_n_gram(longest):
    for text in variants(cut=1.0, longest=longest, count=20):
        assert 1 <= len(text.split()) <= longest
        assert f" {text} " in f" {TEXTS[0]} "


def test_every_length_of_an_n_gram_occurs():
    assert {len(text.split()) for text in variants(cut=1.0, count=200)} == {1, 2, 3, 4, 5}
    assert {len(text.split()) for text in variants("a b", cut=1.0, count=200)} == {1, 2}


@pytest.mark.parametrize("language", ["en", "de", "nl"])
def test_odd_words_are_tagged_too(language):
    words = ["🙂", "é́", "x" * 300, "don't", "3.14", "日本語"]
    assert [word for word, _ in Perturbation(language=language).tagged(" ".join(words))] == words
    assert Perturbation(language=language).tagged("") == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"masked": 1.2}, "are no probabilities"),
        ({"masked": 0.6, "replaced": 0.6}, "are no probabilities"),
        ({"cut": "yes"}, "are no probabilities"),
        ({"language": "fr"}, "data.augmentation.language: 'fr' is none of en, de, nl"),
        ({"longest": 0}, "data.augmentation.longest: 0 is not a whole number above 0"),
    ],
)
def test_what_cannot_be(settings, reason):
    with pytest.raises(UserError, match=reason):
        Perturbation(**settings)
