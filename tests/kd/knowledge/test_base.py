from dataclasses import replace
from functools import partial

import pytest

from kd.knowledge import pairing
from kd.knowledge.base import Knowledge
from kd.knowledge.distances import mse
from kd.knowledge.feature import AttentionScores, HiddenStates
from kd.knowledge.relation import AngleRelation, DistanceRelation, SimilarityPreserving
from kd.knowledge.response import SoftTargets
from models.output import ATTENTION, LOGITS, STATES, ModelOutput

EVERYTHING = frozenset({"logits"}) | STATES | ATTENTION

TERMS = [
    SoftTargets,
    partial(HiddenStates, pairing.layers, mse),
    partial(AttentionScores, pairing.layers),
    DistanceRelation,
    AngleRelation,
    SimilarityPreserving,
]


def made_of(output, fields):
    """An output that has these tensors of another one and nothing else."""
    return ModelOutput.of({key: output[key] for key in fields}, output.mask)


@pytest.mark.parametrize("make", TERMS)
def test_a_term_names_who_lacks_what_it_reads(make, make_spec):
    term = make()
    learners, teachers = term.requires(make_spec(), make_spec())
    (name,) = {field.name for field in learners | teachers}
    lacking = make_spec(provides=EVERYTHING - {name}, kind="mute")
    words = name.replace("_", " ")
    assert term.fits(lacking, make_spec()) == f"the learner (mute) gives no {words}"
    assert term.fits(make_spec(), lacking) == f"the teacher (mute) gives no {words}"
    assert term.fits(make_spec(), make_spec()) is None


@pytest.mark.parametrize("make", TERMS)
def test_a_term_needs_no_field_beside_the_one_it_reads(make, make_spec):
    term = make()
    (name,) = {field.name for field in term.requires(make_spec(), make_spec())[0]}
    enough = make_spec(provides=frozenset({name}))
    assert term.fits(enough, enough) is None


@pytest.mark.parametrize("make", TERMS)
def test_a_term_reads_nothing_but_what_it_requires_of_each_side(make, make_spec, make_output):
    learner, teacher, term = make_spec(widths=(8, 8, 6), heads=2), make_spec(widths=(8,) * 6, heads=4), make()
    term.connect(learner, teacher)
    ours, theirs = make_output(learner), make_output(teacher, seed=1)
    mine, its = term.requires(learner, teacher)
    expected = term(ours, theirs, {})
    assert term(made_of(ours, mine), made_of(theirs, its), {}).equal(expected)
    for fields, sides in (
        (mine, lambda some: (made_of(ours, some), theirs)),
        (its, lambda some: (ours, made_of(theirs, some))),
    ):
        for key in fields:
            with pytest.raises((KeyError, RuntimeError)):
                term(*sides(fields - {key}), {})


def test_logits_are_what_is_read_where_a_term_does_not_say(make_spec):
    class Other(Knowledge):
        def forward(self, learner, teacher, batch):
            raise NotImplementedError

    assert Other().requires(make_spec(), make_spec()) == (frozenset({LOGITS}), frozenset({LOGITS}))


@pytest.mark.parametrize("make", TERMS)
def test_only_sentence_level_terms_work_across_tokenizers(make, make_spec):
    reason = make().fits(make_spec(tokenizer="a"), make_spec(tokenizer="b"))
    token_level = make in (TERMS[1], TERMS[2])
    assert ("different tokenizers" in (reason or "")) == token_level


@pytest.mark.parametrize("make", TERMS)
def test_tokenizers_that_cut_the_texts_at_the_same_places_are_as_good_as_one(make, make_spec):
    teacher = make_spec(tokenizer="b")
    assert make().fits(replace(make_spec(tokenizer="a"), segmentation="b"), teacher) is None


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
        for state in output.hidden_states.values():
            state[~output.mask] = 1e3
        real = output.mask[:, None, :, None] & output.mask[:, None, None, :]
        for scores in output.attention_scores.values():
            scores[~real.expand_as(scores)] = -1e3
    assert term(one, other, {}).item() == pytest.approx(value.item(), rel=1e-5)


@pytest.mark.parametrize("make", TERMS)
@pytest.mark.parametrize("rows", [1, 2])
def test_small_batches_give_finite_losses_and_gradients(make, rows, make_spec, make_output):
    spec, term = make_spec(), make()
    term.connect(spec, spec)
    one, other = make_output(spec, rows=rows, seed=0), make_output(spec, rows=rows, seed=1)
    read = [one[key] for key in term.requires(spec, spec)[0]]
    assert read
    for tensor in read:
        tensor.requires_grad_()
    loss = term(one, other, {})
    loss.backward()
    assert loss.isfinite()
    assert all(tensor.grad is not None and tensor.grad.isfinite().all() for tensor in read)


def test_a_pairing_that_the_depths_do_not_allow_is_a_reason(make_spec):
    term = HiddenStates(partial(pairing.last, count=3), mse)
    assert term.fits(make_spec(), make_spec()) == "pairing: the last 3 layers are asked for, but there are 2"
