from itertools import pairwise, product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given as for_all
from hypothesis import strategies as st

from models import crf

TAGS = 3
IGNORED = -100


def example(seed, length=4, rows=2):
    draw = torch.Generator().manual_seed(seed)
    emissions = torch.randn(rows, length, TAGS, generator=draw, dtype=torch.float64)
    transitions = torch.randn(TAGS + 1, TAGS + 1, generator=draw, dtype=torch.float64)
    return emissions, transitions, torch.rand(rows, length, generator=draw) < 0.7


def score(emissions, transitions, places, tags):
    """Of one chain over these places of a row, written out."""
    total = transitions[TAGS, tags[0]] + transitions[tags[-1], TAGS]
    total = total + sum(transitions[one, other] for one, other in pairwise(tags))
    return total + sum(emissions[place, tag] for place, tag in zip(places, tags, strict=True))


def chains(emissions, transitions, words):
    """The places of a row, and the score of every chain over them."""
    places = words.nonzero()[:, 0].tolist()
    tagged = product(range(TAGS), repeat=len(places)) if places else ()
    return places, {tags: score(emissions, transitions, places, tags) for tags in tagged}


@for_all(st.integers(0, 10_000))
def test_marginals_are_what_all_chains_add_up_to(seed):
    emissions, transitions, words = example(seed)
    found = crf.log_marginals(emissions, transitions, words)
    for row in range(2):
        places, scores = chains(emissions[row], transitions, words[row])
        if not places:
            continue
        total = torch.stack(list(scores.values())).logsumexp(0)
        for number, place in enumerate(places):
            for tag in range(TAGS):
                mine = torch.stack([value for tags, value in scores.items() if tags[number] == tag]).logsumexp(0)
                torch.testing.assert_close(found[row, place, tag], mine - total)


@for_all(st.integers(0, 10_000))
def test_the_greatest_scores_make_the_best_chain(seed):
    emissions, transitions, words = example(seed)
    found = crf.best(emissions, transitions, words).argmax(-1)
    for row in range(2):
        places, scores = chains(emissions[row], transitions, words[row])
        assert not places or tuple(found[row, places].tolist()) == max(scores, key=scores.get)


@for_all(st.integers(0, 10_000))
def test_cross_entropies_given_the_labels_before_add_up_to_the_likelihood_of_the_chain(seed):
    emissions, transitions, words = example(seed)
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, TAGS, words.shape, generator=draw).where(words, IGNORED)
    logits = crf.given(emissions, transitions, labels)
    for row in range(2):
        places, scores = chains(emissions[row], transitions, words[row])
        if not places:
            continue
        expected = torch.stack(list(scores.values())).logsumexp(0) - scores[tuple(labels[row, places].tolist())]
        torch.testing.assert_close(F.cross_entropy(logits[row], labels[row], reduction="sum"), expected)


def test_without_transitions_words_are_tagged_one_by_one():
    emissions, transitions, words = example(0)
    nothing = torch.zeros_like(transitions)
    found = crf.log_marginals(emissions, nothing, words)
    torch.testing.assert_close(found, emissions.log_softmax(-1))
    labels = torch.zeros(words.shape, dtype=torch.long)
    expected = F.cross_entropy(emissions.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(
        F.cross_entropy(crf.given(emissions, nothing, labels).flatten(0, 1), labels.flatten()), expected
    )


@pytest.mark.parametrize("function", [crf.log_marginals, crf.best])
def test_padding_does_not_matter(function):
    emissions, transitions, _ = example(1)
    words = torch.ones(2, 4, dtype=torch.bool)
    padded = F.pad(emissions, (0, 0, 0, 3), value=99.0)
    wider = function(padded, transitions, F.pad(words, (0, 3)))
    torch.testing.assert_close(wider[:, :4], function(emissions, transitions, words))


@pytest.mark.parametrize("function", [crf.log_marginals, crf.given])
def test_gradients(function):
    emissions, transitions, words = example(2, length=3)
    last = words if function is crf.log_marginals else torch.tensor([[0, IGNORED, 2], [IGNORED, 1, 1]])
    inputs = emissions.requires_grad_(), transitions.requires_grad_()
    assert torch.autograd.gradcheck(lambda *some: function(*some, last), inputs)


def test_large_scores_in_half_precision_stay_finite():
    emissions, transitions, words = example(3)
    for function in (crf.log_marginals, crf.best):
        assert function(1e4 * emissions.bfloat16(), transitions.bfloat16(), words).isfinite().all()
