import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from models.bilstm import (
    BiLSTMConfig,
    BiLSTMForQuestionAnswering,
    BiLSTMForSequenceClassification,
    BiLSTMForTokenClassification,
)
from models.cnn_lstm import (
    CNNLSTMConfig,
    CNNLSTMForQuestionAnswering,
    CNNLSTMForSequenceClassification,
    CNNLSTMForTokenClassification,
)
from models.pqrnn import (
    PQRNNConfig,
    PQRNNForQuestionAnswering,
    PQRNNForSequenceClassification,
    PQRNNForTokenClassification,
)
from models.recurrent import BidirectionalLayer, RecurrentConfig, reversal, strongest
from potstill import processor

SIZES = {
    "vocab_size": 30,
    "embedding_size": 6,
    "hidden_size": 5,
    "num_hidden_layers": 2,
    "classifier_size": 7,
    "dropout": 0.1,
    "pad_token_id": 0,
}
LENGTHS = [6, 1, 4, 1, 3]
MASK = torch.arange(6) < torch.tensor(LENGTHS)[:, None]


def students():
    torch.manual_seed(0)
    yield BiLSTMForSequenceClassification(BiLSTMConfig(**SIZES)).eval()
    student = CNNLSTMForSequenceClassification(CNNLSTMConfig(**SIZES)).eval()
    student.encoder.embeddings.spelling.random_(0, 256)
    yield student
    yield PQRNNForSequenceClassification(PQRNNConfig(**SIZES, projection_size=64)).eval()


STUDENTS = [pytest.param(student, id=student.config.model_type) for student in students()]
LSTMS = STUDENTS[:2]


def torchs(layer):
    """Torch's own bidirectional LSTM with the weights of a layer."""
    lstm = nn.LSTM(layer.forward_lstm.input_size, layer.forward_lstm.hidden_size, batch_first=True, bidirectional=True)
    weights = dict(layer.forward_lstm.named_parameters())
    weights |= {f"{name}_reverse": weight for name, weight in layer.backward_lstm.named_parameters()}
    lstm.load_state_dict(weights)
    return lstm


def test_a_layer_gives_what_a_packed_bidirectional_lstm_gives():
    torch.manual_seed(0)
    layer, states = BidirectionalLayer(3, 4), torch.randn(5, 6, 3)
    packed = pack_padded_sequence(states, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    expected, _ = pad_packed_sequence(torchs(layer)(packed)[0], batch_first=True)
    torch.testing.assert_close(layer(states, MASK), expected)


def test_a_layer_has_the_gradients_of_a_packed_bidirectional_lstm():
    torch.manual_seed(0)
    layer, states = BidirectionalLayer(3, 4), torch.randn(5, 6, 3)
    lstm = torchs(layer)
    packed = pack_padded_sequence(states, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    pad_packed_sequence(lstm(packed)[0], batch_first=True)[0].square().sum().backward()
    layer(states, MASK).square().sum().backward()
    torch.testing.assert_close(layer.forward_lstm.weight_hh_l0.grad, lstm.weight_hh_l0.grad)
    torch.testing.assert_close(layer.backward_lstm.weight_ih_l0.grad, lstm.weight_ih_l0_reverse.grad)


def test_padded_positions_give_zeros():
    states = BidirectionalLayer(3, 4)(torch.randn(5, 6, 3), MASK)
    assert states[~MASK].abs().max() == 0
    assert states[MASK].abs().min() > 0


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(0, 7), min_size=1, max_size=6))
def test_rows_are_turned_round_within_their_length_and_turning_twice_changes_nothing(lengths):
    turned = reversal(torch.arange(7) < torch.tensor(lengths)[:, None])
    for row, length in zip(turned.tolist(), lengths, strict=True):
        assert row == [*reversed(range(length)), *range(length, 7)]
    assert torch.equal(turned.gather(1, turned), torch.arange(7).expand_as(turned))


def test_the_strongest_feature_may_be_negative_and_is_never_padding():
    states = torch.tensor([[[-3.0, -1.0], [-2.0, -5.0], [0.0, 9.0]]])
    assert strongest(states, torch.tensor([[True, True, False]])).tolist() == [[-2.0, -1.0]]


@pytest.mark.parametrize("student", STUDENTS)
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    padding=st.integers(0, 4),
    filler=st.integers(0, 29),
    seed=st.integers(0, 10**6),
)
def test_neither_content_nor_length_of_the_padding_counts(student, lengths, padding, filler, seed):
    ids = torch.randint(1, 30, (len(lengths), max(lengths) + padding), generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(ids.shape[1]) < torch.tensor(lengths)[:, None]
    with torch.no_grad():
        together = student(ids.masked_fill(~mask, filler), mask.long()).logits
        alone = torch.cat([student(ids[row : row + 1, :length]).logits for row, length in enumerate(lengths)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("student", STUDENTS)
def test_a_row_of_one_token_is_read(student):
    logits = student(torch.tensor([[4], [5]])).logits
    assert logits.shape == (2, 2)
    assert not torch.equal(logits[0], logits[1])


@pytest.mark.parametrize("student", STUDENTS)
def test_hidden_states_are_as_many_and_as_wide_as_the_config_says(student):
    ids = torch.randint(1, 30, (3, 4))
    states = student(ids, output_hidden_states=True).hidden_states
    assert tuple(state.shape for state in states) == tuple((3, 4, width) for width in student.config.widths)
    assert len(states) == 3
    assert student(ids).hidden_states is None


@pytest.mark.parametrize("student", STUDENTS)
def test_it_runs_and_learns_under_bf16_autocast(student):
    ids = torch.randint(1, 30, (3, 6))
    mask = torch.arange(6) < torch.tensor([6, 2, 1])[:, None]
    exact = student(ids, mask)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = student(ids, mask, labels=torch.tensor([0, 1, 0]))
    torch.testing.assert_close(rounded.logits.float(), exact.logits, atol=0.05, rtol=0.05)
    rounded.loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in student.parameters())
    student.zero_grad()


def test_an_lstm_keeps_full_precision_on_a_processor_that_has_no_other(monkeypatch):
    monkeypatch.setattr(processor, "HAS_BFLOAT16", False)
    layer, states = BidirectionalLayer(3, 4), torch.randn(5, 6, 3)
    exact = layer(states.bfloat16().float(), MASK)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(states.bfloat16(), MASK), exact)


@pytest.mark.parametrize("student", STUDENTS)
def test_its_own_loss_is_the_cross_entropy_of_its_logits(student):
    ids, labels = torch.randint(1, 30, (3, 6)), torch.tensor([0, 1, 1])
    output = student(ids, labels=labels)
    expected = -output.logits.log_softmax(-1)[range(3), labels].mean()
    torch.testing.assert_close(output.loss, expected)


@pytest.mark.parametrize("student", LSTMS)
def test_forget_gates_start_open_and_recurrent_weights_orthogonal(student):
    for layer in student.encoder.layers:
        for lstm in (layer.forward_lstm, layer.backward_lstm):
            bias = (lstm.bias_ih_l0 + lstm.bias_hh_l0).unflatten(0, (4, 5))
            assert bias.sum(1).tolist() == [0, 5, 0, 0]
            torch.testing.assert_close(lstm.weight_hh_l0.T @ lstm.weight_hh_l0, torch.eye(5))


@pytest.mark.parametrize("student", LSTMS)
def test_padding_has_the_vector_zero(student):
    assert student.get_input_embeddings().weight[0].abs().max() == 0
    assert student.get_input_embeddings().weight[1:].abs().min() > 0


@pytest.mark.parametrize("student", LSTMS)
def test_its_embeddings_can_be_replaced(student):
    table = student.get_input_embeddings()
    other = nn.Embedding(30, 6, padding_idx=0)
    student.set_input_embeddings(other)
    assert student.get_input_embeddings() is other
    assert any(parameter is other.weight for parameter in student.parameters())
    student.set_input_embeddings(table)


@pytest.mark.parametrize("kind", [RecurrentConfig, CNNLSTMConfig, BiLSTMConfig, PQRNNConfig])
def test_sizes_that_are_not_given_have_their_defaults(kind):
    config = kind(embedding_size=6)
    assert config.hidden_size == 150
    assert config.widths[1:] == (300,)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (BiLSTMForTokenClassification, BiLSTMConfig),
        (CNNLSTMForTokenClassification, CNNLSTMConfig),
        (PQRNNForTokenClassification, PQRNNConfig),
    ],
)
def test_a_tagger_says_something_of_every_token_whatever_is_behind_it(kind, config):
    torch.manual_seed(0)
    student = kind(config(**SIZES, num_labels=3)).eval()
    ids = torch.randint(1, 30, MASK.shape)
    together = student(ids.masked_fill(~MASK, 0), MASK.long()).logits
    assert together.shape == (5, 6, 3)
    alone = student(ids[2:3, :4], torch.ones(1, 4, dtype=torch.long)).logits
    torch.testing.assert_close(together[2:3, :4], alone)
    labels = torch.full((5, 6), -100).masked_fill(MASK, 1)
    expected = nn.functional.cross_entropy(together[MASK], labels[MASK])
    torch.testing.assert_close(student(ids.masked_fill(~MASK, 0), MASK.long(), labels).loss, expected)


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (BiLSTMForQuestionAnswering, BiLSTMConfig),
        (CNNLSTMForQuestionAnswering, CNNLSTMConfig),
        (PQRNNForQuestionAnswering, PQRNNConfig),
    ],
)
def test_begin_and_end_have_a_logit_at_every_position(model, config):
    torch.manual_seed(0)
    student = model(config(**SIZES, num_labels=2)).eval()
    ids = torch.randint(1, 30, (5, 6))
    output = student(ids, MASK.long())
    both = torch.stack([output.start_logits, output.end_logits], -1)
    assert both.shape == (5, 6, 2)
    torch.testing.assert_close(student(ids[3:4, :1]).end_logits, both[3:4, :1, 1])
