import math
from functools import partial

import pytest
import torch

from kd.knowledge import pairing
from kd.knowledge.distances import mse
from kd.knowledge.feature import (
    AttentionProbabilities,
    AttentionScores,
    HiddenStates,
    SelfAttentionRelations,
    kl_over_keys,
    relations,
)
from kd.knowledge.projection import Direct
from kd.knowledge.reduction import mean_over_texts
from models.output import Field
from potstill.errors import UserError

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


def test_widths_that_nothing_projects_are_named(make_spec):
    term = HiddenStates(pairing.layers, mse, projector=Direct())
    reason = term.fits(make_spec(widths=(8, 6)), make_spec(widths=(8, 8, 8)))
    assert reason == "layer 1 of the learner is 6 wide, the teacher's 8, and nothing projects it"


def test_one_state_a_text(make_spec, make_output):
    spec = make_spec()
    ours, theirs = make_output(spec), make_output(spec, seed=1)
    for read in ("cls_states", "mean_states"):
        term = HiddenStates(pairing.last, mse, read=read)
        assert term.requires(spec, spec)[0] == {Field(read, 2)}
        term.connect(spec, spec)
        expected = (getattr(ours, read)[2] - getattr(theirs, read)[2]).square().mean()
        assert term(ours, theirs, {}).item() == pytest.approx(expected.item(), rel=1e-5)


def test_texts_may_count_alike_however_long(make_spec, make_output):
    spec = make_spec()
    term = HiddenStates(pairing.last, mse, reduction=mean_over_texts)
    term.connect(spec, spec)
    ours, theirs = make_output(spec, lengths=[1, 5, 2, 2]), make_output(spec, seed=1, lengths=[1, 5, 2, 2])
    costs = (ours.hidden_states[2] - theirs.hidden_states[2]).square().mean(-1)
    expected = torch.stack([costs[row, :length].mean() for row, length in enumerate([1, 5, 2, 2])]).mean()
    assert term(ours, theirs, {}).item() == pytest.approx(expected.item(), rel=1e-5)


def test_states_of_two_tokenizers_meet_in_words(make_spec, make_output, in_words):
    learner, teacher = make_spec(tokenizer="a"), make_spec(tokenizer="b")
    term = HiddenStates(pairing.last, mse)
    term.connect(learner, teacher)
    ours, theirs = make_output(learner, rows=1, tokens=3), make_output(teacher, rows=1, tokens=4, seed=1)
    batch = in_words(3, a=[[0, 1, 2]], b=[[-1, 0, 0, 1]])
    one, other = ours.hidden_states[2][0], theirs.hidden_states[2][0]
    expected = ((one[0] - other[1:3].mean(0)).square().mean() + (one[1] - other[3]).square().mean()) / 2
    assert term(ours, theirs, batch).item() == pytest.approx(expected.item(), rel=1e-5)


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


def test_probabilities_of_attention_equal_a_loop(make_spec, make_output):
    spec = make_spec()
    term = AttentionProbabilities(pairing.last)
    term.connect(spec, spec)
    lengths = [2, 5, 1, 3]
    ours, theirs = make_output(spec, lengths=lengths), make_output(spec, seed=1, lengths=lengths)
    values = []
    for row, length in enumerate(lengths):
        one, other = (output.attention_scores[2][row, :, :length, :length] for output in (ours, theirs))
        p, q = other.softmax(-1), one.softmax(-1)
        values.append((p * (p.log() - q.log())).sum(-1).flatten())
    assert term(ours, theirs, {}).item() == pytest.approx(torch.cat(values).mean().item(), rel=1e-4)


def test_relations_by_hand():
    """Of two tokens with the values (sqrt(ln 3), 0): odds of 3 to 1 in the first row, even ones in the second."""
    theirs, ours = torch.tensor([[[[math.sqrt(math.log(3))], [0.0]]]]), torch.zeros(1, 1, 2, 1)
    value = kl_over_keys(relations(ours, 1), relations(theirs, 1), torch.ones(1, 2, dtype=torch.bool))
    assert value.item() == pytest.approx((0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2)


def test_relation_heads_cut_across_the_heads():
    vectors = torch.randn(2, 3, 5, 4)  # 3 heads of 4
    joined = vectors.transpose(1, 2).reshape(2, 5, 12)
    found = relations(vectors, 6)
    assert found.shape == (2, 6, 5, 5)
    head = joined[:, :, 4:6]
    torch.testing.assert_close(found[:, 2], head @ head.transpose(1, 2) / math.sqrt(2))


def test_relations_do_not_see_sign_or_rotation_but_size():
    vectors = torch.randn(1, 2, 5, 4)
    turned = vectors @ torch.linalg.qr(torch.randn(4, 4))[0]
    torch.testing.assert_close(relations(-vectors, 2), relations(vectors, 2))
    torch.testing.assert_close(relations(turned, 2), relations(vectors, 2))
    assert not torch.allclose(relations(2 * vectors, 2), relations(vectors, 2))


def test_relations_across_widths_and_heads(make_spec, make_output):
    learner, teacher = make_spec(widths=(8,) * 3, heads=2), make_spec(widths=(16,) * 5, heads=4)
    term = SelfAttentionRelations(pairing.last)
    assert term.fits(learner, teacher) is None
    term.connect(learner, teacher)
    assert term.heads == 8
    assert term(make_output(learner), make_output(teacher, seed=1), {}) > 0
    assert term.requires(learner, teacher)[1] == {Field(name, 4) for name in ("queries", "keys", "values")}


def test_probabilities_are_compared_head_by_head(make_spec):
    reason = AttentionProbabilities(pairing.last).fits(make_spec(heads=2), make_spec(heads=4))
    assert reason == "head by head, but the learner has 2 and the teacher 4"


def test_of_embeddings_there_are_no_relations(make_spec):
    term = SelfAttentionRelations(pairing.uniform)
    term.connect(make_spec(), make_spec())
    assert term.pairs == [(1, 1), (2, 2)]


def test_relation_heads_that_do_not_divide_a_width_are_named(make_spec):
    term = SelfAttentionRelations(pairing.last, relation_heads=3)
    assert term.fits(make_spec(), make_spec()) == "3 relation heads do not divide the learner's width, 8"
    with pytest.raises(UserError, match="name some of queries, keys, values"):
        SelfAttentionRelations(pairing.last, reads=["scores"])
    with pytest.raises(UserError, match="relation_heads 0 is not a whole number above 0"):
        SelfAttentionRelations(pairing.last, relation_heads=0)


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
