from functools import partial

import pytest
import torch

from kd.knowledge import pairing
from kd.knowledge.distances import mse
from kd.knowledge.feature import AttentionScores, HiddenStates
from models.output import Field

HIDDEN = partial(HiddenStates, distance=mse)


def test_hidden_states_equal_a_loop_over_pairs_rows_and_tokens(make_spec, make_output):
    learner, teacher = make_spec(widths=(8, 8, 8)), make_spec(widths=(8,) * 5)
    term = HiddenStates(pairing.layers, mse)
    term.connect(learner, teacher)
    lengths = [2, 5, 1, 3]
    ours, theirs = make_output(learner, lengths=lengths), make_output(teacher, seed=1, lengths=lengths)
    expected = 0.0
    for mine, goal in [(1, 2), (2, 4)]:
        values = [
            (ours.hidden_states[mine][row, token] - theirs.hidden_states[goal][row, token]).square().mean().item()
            for row, length in enumerate(lengths)
            for token in range(length)
        ]
        expected += sum(values) / len(values)
    assert term(ours, theirs, {}).item() == pytest.approx(expected, rel=1e-5)


def test_a_constant_offset_costs_its_square(make_spec, make_output):
    spec = make_spec()
    term = HiddenStates(pairing.last, mse)
    term.connect(spec, spec)
    one, other = make_output(spec), make_output(spec)
    other.hidden_states = {layer: state + 3 for layer, state in other.hidden_states.items()}
    assert term(one, other, {}).item() == pytest.approx(9, rel=1e-5)


def test_only_pairs_of_other_widths_are_projected(make_spec):
    learner, teacher = make_spec(widths=(8, 6)), make_spec(widths=(8, 8, 8))
    term = HiddenStates(pairing.uniform, mse)
    term.connect(learner, teacher)
    assert term.pairs == [(0, 0), (1, 2)]
    assert [tuple(weight.shape) for weight in term.parameters()] == [(8, 6), (8,)]
    assert term.describe(learner, teacher) == "layers 0<-0, 1<-2, 1 projected"


def test_the_projection_learns_and_the_teacher_does_not(make_spec, make_output):
    learner, teacher = make_spec(widths=(4, 4)), make_spec(widths=(8, 8))
    term = HiddenStates(pairing.layers, mse)
    term.connect(learner, teacher)
    theirs = make_output(teacher).detach()
    term(make_output(learner), theirs, {}).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in term.parameters())
    assert all(state.grad is None for state in theirs.hidden_states.values())


def test_a_pairing_without_pairs_is_named(make_spec):
    shallow = make_spec(widths=(8, 8))
    assert "finds no layers to compare between 1 and 2" in HiddenStates(pairing.skip, mse).fits(shallow, make_spec())


def test_attention_scores_equal_a_loop(make_spec, make_output):
    spec = make_spec()
    term = AttentionScores(pairing.last)
    term.connect(spec, spec)
    lengths = [2, 5, 1, 3]
    ours, theirs = make_output(spec, lengths=lengths), make_output(spec, seed=1, lengths=lengths)
    difference = (ours.attention_scores[2] - theirs.attention_scores[2]).square()
    values = [difference[row, :, :length, :length].flatten() for row, length in enumerate(lengths)]
    assert term(ours, theirs, {}).item() == pytest.approx(torch.cat(values).mean().item(), rel=1e-5)


def test_scaling_both_scores_scales_the_attention_loss_by_the_square(make_spec, make_output):
    spec = make_spec()
    term = AttentionScores(pairing.layers)
    term.connect(spec, spec)
    one, other = make_output(spec), make_output(spec, seed=1)
    before = term(one, other, {}).item()
    for output in (one, other):
        output.attention_scores = {layer: scores * 3 for layer, scores in output.attention_scores.items()}
    assert term(one, other, {}).item() == pytest.approx(9 * before, rel=1e-5)


def test_other_numbers_of_heads_are_averaged(make_spec, make_output):
    learner, teacher = make_spec(heads=2), make_spec(heads=4)
    term = AttentionScores(pairing.last)
    term.connect(learner, teacher)
    ours, theirs = make_output(learner), make_output(teacher, seed=1)
    expected = (ours.attention_scores[2].mean(1) - theirs.attention_scores[2].mean(1)).square().mean()
    assert term(ours, theirs, {}).item() == pytest.approx(expected.item(), rel=1e-5)


def test_attention_of_the_embeddings_is_passed_over(make_spec):
    term = AttentionScores(partial(pairing.explicit, pairs=[[0, 0], [2, 1]]))
    term.connect(make_spec(), make_spec())
    assert term.pairs == [(2, 1)]


@pytest.mark.parametrize(("make", "name"), [(HIDDEN, "hidden_states"), (AttentionScores, "attention_scores")])
def test_each_side_gives_the_paired_layers_alone(make, name, make_spec):
    term = make(partial(pairing.explicit, pairs=[[1, 4], [2, 4], [2, 3]]))
    learners, teachers = term.requires(make_spec(widths=(8,) * 3), make_spec(widths=(8,) * 6))
    assert learners == {Field(name, 1), Field(name, 2)}
    assert teachers == {Field(name, 3), Field(name, 4)}


def test_of_embeddings_there_are_hidden_states_and_no_attention(make_spec):
    pairs = partial(pairing.explicit, pairs=[[0, 0], [2, 1]])
    assert HIDDEN(pairs).requires(make_spec(), make_spec())[0] == {Field("hidden_states", 0), Field("hidden_states", 2)}
    assert AttentionScores(pairs).requires(make_spec(), make_spec())[0] == {Field("attention_scores", 2)}
