import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertModel, LlamaConfig, LlamaForSequenceClassification

from models.attention import RECORDING, can_record, record_attention
from models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification
from models.output import AttentionRecord

IDS = torch.tensor([[2, 9, 8, 7, 6, 3], [2, 11, 12, 3, 0, 0], [2, 3, 0, 0, 0, 0]])
MASK = (IDS != 0).long()


def load(folder, implementation):
    return BertModel.from_pretrained(folder, attn_implementation=implementation, add_pooling_layer=False).eval()


def call(model):
    return model(IDS, attention_mask=MASK, output_attentions=True, output_hidden_states=True)


@pytest.fixture
def recording(pretrained):
    model = load(pretrained, "sdpa")
    record_attention(model)
    return model


def test_every_layer_gives_its_record(recording):
    records = call(recording).attentions
    assert len(records) == 4
    assert all(isinstance(record, AttentionRecord) for record in records)
    assert {tuple(record.scores.shape) for record in records} == {(3, 2, 6, 6)}
    shapes = {tuple(tensor.shape) for record in records for tensor in (record.query, record.key, record.value)}
    assert shapes == {(3, 2, 6, 16)}


def test_masked_scores_after_softmax_are_the_probabilities_of_eager_attention(recording, pretrained):
    padding = torch.zeros(3, 1, 1, 6).masked_fill(MASK[:, None, None] == 0, -torch.inf)
    for record, expected in zip(call(recording).attentions, call(load(pretrained, "eager")).attentions, strict=True):
        torch.testing.assert_close((record.scores + padding).softmax(-1), expected)


def test_scores_are_scaled_products_of_query_and_key(recording):
    record = call(recording).attentions[1]
    products = torch.einsum("bhid,bhjd->bhij", record.query, record.key) / 16**0.5
    torch.testing.assert_close(record.scores, products)


def test_scores_are_those_before_the_mask(recording):
    """Also where padding is, so that a masked loss decides what counts."""
    assert all(record.scores.abs().max() < 100 for record in call(recording).attentions)


def test_the_model_says_the_same_as_with_sdpa(recording, pretrained):
    fast = load(pretrained, "sdpa")(IDS, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(call(recording).last_hidden_state[MASK.bool()], fast[MASK.bool()])


def test_gradients_reach_the_projections_through_the_record(recording):
    sum(record.scores.sum() + record.value.sum() for record in call(recording).attentions).backward()
    attention = recording.encoder.layer[0].attention.self
    assert all(getattr(attention, name).weight.grad.abs().sum() > 0 for name in ("query", "key", "value"))


def test_dropout_changes_the_output_and_not_the_record(recording):
    recording.train()
    for module in recording.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    recording.encoder.layer[0].attention.self.dropout.p = 0.5
    torch.manual_seed(0)
    one, other = call(recording), call(recording)
    assert torch.equal(one.attentions[0].scores, other.attentions[0].scores)
    assert not torch.equal(one.hidden_states[1], other.hidden_states[1])


def test_it_works_under_bf16_autocast(recording):
    exact = call(recording)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = call(recording)
    torch.testing.assert_close(rounded.attentions[0].scores.float(), exact.attentions[0].scores, atol=0.1, rtol=0.1)
    assert rounded.last_hidden_state[MASK.bool()].isfinite().all()


def test_transformers_can_record_and_lstms_cannot(fine_tuned):
    assert can_record(AutoModelForSequenceClassification.from_pretrained(fine_tuned))
    sizes = BiLSTMConfig(
        vocab_size=9, embedding_size=4, hidden_size=4, num_hidden_layers=1, classifier_size=4, dropout=0, pad_token_id=0
    )
    assert not can_record(BiLSTMForSequenceClassification(sizes))


def test_recording_is_known_by_its_name(pretrained):
    assert load(pretrained, RECORDING).config._attn_implementation == RECORDING


def test_grouped_queries_can_be_recorded():
    config = LlamaConfig(
        vocab_size=20,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
    )
    model = LlamaForSequenceClassification(config).eval()
    assert can_record(model)
    record_attention(model)
    (record,) = model(IDS, attention_mask=MASK, output_attentions=True).attentions
    assert record.scores.shape == (3, 4, 6, 6)
