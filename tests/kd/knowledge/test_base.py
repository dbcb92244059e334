from functools import partial

import pytest

from kd.knowledge import pairing
from kd.knowledge.distances import mse
from kd.knowledge.feature import AttentionScores, HiddenStates
from kd.knowledge.relation import AngleRelation, DistanceRelation, SimilarityPreserving
from kd.knowledge.response import SoftTargets

TERMS = [
    SoftTargets,
    partial(HiddenStates, pairing.layers, mse),
    partial(AttentionScores, pairing.layers),
    DistanceRelation,
    AngleRelation,
    SimilarityPreserving,
]


@pytest.mark.parametrize("make", TERMS)
def test_a_term_names_who_lacks_what_it_reads(make, make_spec):
    term = make()
    (field,) = term.requires
    lacking = make_spec(provides=frozenset({"logits", "hidden_states", "attentions"}) - {field}, kind="mute")
    words = field.replace("_", " ")
    assert term.fits(lacking, make_spec()) == f"the learner (mute) gives no {words}"
    assert term.fits(make_spec(), lacking) == f"the teacher (mute) gives no {words}"
    assert term.fits(make_spec(), make_spec()) is None


@pytest.mark.parametrize("make", TERMS)
def test_only_sentence_level_terms_work_across_tokenizers(make, make_spec):
    reason = make().fits(make_spec(tokenizer="a"), make_spec(tokenizer="b"))
    token_level = make in (TERMS[1], TERMS[2])
    assert ("different tokenizers" in (reason or "")) == token_level


@pytest.mark.parametrize("make", TERMS)
def test_equal_outputs_cost_nothing_and_others_something(make, make_spec, make_output):
    spec, term = make_spec(), make()
    term.connect(spec, spec)
    one, other = make_output(spec, seed=0), make_output(spec, seed=1)
    assert term(one, one, {}).item() == pytest.approx(0, abs=1e-6)
    assert term(one, other, {}).item() > 1e-4


@pytest.mark.parametrize("make", TERMS)
def test_padding_changes_nothing(make, make_spec, make_output):
    spec, term = make_spec(), make()
    term.connect(spec, spec)
    lengths = [3, 5, 1, 2]
    one, other = (
        make_output(spec, tokens=5, seed=0, lengths=lengths),
        make_output(spec, tokens=5, seed=1, lengths=lengths),
    )
    value = term(one, other, {})
    for output in (one, other):
        for state in output.hidden_states:
            state[~output.mask] = 1e3
        for record in output.attentions:
            real = output.mask[:, None, :, None] & output.mask[:, None, None, :]
            record.scores[~real.expand_as(record.scores)] = -1e3
    assert term(one, other, {}).item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("make", TERMS)
@pytest.mark.parametrize("rows", [1, 2])
def test_small_batches_give_finite_losses_and_gradients(make, rows, make_spec, make_output):
    spec, term = make_spec(), make()
    term.connect(spec, spec)
    one, other = make_output(spec, rows=rows, seed=0), make_output(spec, rows=rows, seed=1)
    read = [one.logits, *one.hidden_states, *(record.scores for record in one.attentions)]
    for tensor in read:
        tensor.requires_grad_()
    loss = term(one, other, {})
    loss.backward()
    assert loss.isfinite()
    assert all(tensor.grad is None or tensor.grad.isfinite().all() for tensor in read)
