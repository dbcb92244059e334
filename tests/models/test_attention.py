import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertModel, LlamaConfig, LlamaForSequenceClassification

from models import attention
from models.attention import RECORDING, AttentionRecord, can_record, record_attention
from models.bilstm import BiLSTMConfig, BiLSTMForSequenceClassification

IDS = torch.tensor([[2, 9, 8, 7, 6, 3], [2, 11, 12, 3, 0, 0], [2, 3, 0, 0, 0, 0]])
MASK = (IDS != 0).long()
ALL = {1, 2, 3, 4}


def load(folder, implementation):
    return BertModel.from_pretrained(folder, attn_implementation=implementation, add_pooling_layer=False).eval()


def call(model):
    return model(IDS, attention_mask=MASK, output_attentions=True, output_hidden_states=True)


@pytest.fixture
def recording(pretrained):
    model = load(pretrained, "sdpa")
    record_attention(model, ALL)
    return model


def test_every_layer_gives_its_record(recording):
    records = call(recording).attentions
    assert len(records) == 4
    assert all(isinstance(record, AttentionRecord) for record in records)
    assert {tuple(record.attention_scores.shape) for record in records} == {(3, 2, 6, 6)}
    shapes = {tuple(tensor.shape) for record in records for tensor in (record.queries, record.keys, record.values)}
    assert shapes == {(3, 2, 6, 16)}


def test_masked_scores_after_softmax_are_the_probabilities_of_eager_attention(recording, pretrained):
    padding = torch.zeros(3, 1, 1, 6).masked_fill(MASK[:, None, None] == 0, -torch.inf)
    for record, expected in zip(call(recording).attentions, call(load(pretrained, "eager")).attentions, strict=True):
        torch.testing.assert_close((record.attention_scores + padding).softmax(-1), expected)


def test_scores_are_scaled_products_of_query_and_key(recording):
    record = call(recording).attentions[1]
    products = torch.einsum("bhid,bhjd->bhij", record.queries, record.keys) / 16**0.5
    torch.testing.assert_close(record.attention_scores, products)


def test_scores_are_those_before_the_mask(recording):
    """Also where padding is, so that a masked loss decides what counts."""
    assert all(record.attention_scores.abs().max() < 100 for record in call(recording).attentions)


def test_the_model_says_the_same_as_with_sdpa(recording, pretrained):
    fast = load(pretrained, "sdpa")(IDS, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(call(recording).last_hidden_state[MASK.bool()], fast[MASK.bool()])


def test_gradients_reach_the_projections_through_the_record(recording):
    sum(record.attention_scores.sum() + record.values.sum() for record in call(recording).attentions).backward()
    layer = recording.encoder.layer[0].attention.self
    assert all(getattr(layer, name).weight.grad.abs().sum() > 0 for name in ("query", "key", "value"))


def test_dropout_changes_the_output_and_not_the_record(recording):
    recording.train()
    for module in recording.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    recording.encoder.layer[0].attention.self.dropout.p = 0.5
    torch.manual_seed(0)
    one, other = call(recording), call(recording)
    assert torch.equal(one.attentions[0].attention_scores, other.attentions[0].attention_scores)
    assert not torch.equal(one.hidden_states[1], other.hidden_states[1])


def test_it_works_under_bf16_autocast(recording):
    exact = call(recording)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = call(recording)
    torch.testing.assert_close(
        rounded.attentions[0].attention_scores.float(), exact.attentions[0].attention_scores, atol=0.1, rtol=0.1
    )
    assert rounded.last_hidden_state[MASK.bool()].isfinite().all()


@pytest.mark.parametrize("layers", [{1}, {4}, {2, 3}, {1, 4}])
def test_only_the_layers_asked_for_give_their_record(layers, recording):
    whole = call(recording).attentions
    record_attention(recording, layers)
    records = call(recording).attentions
    for layer, record in zip(sorted(layers), records, strict=True):
        torch.testing.assert_close(vars(record), vars(whole[layer - 1]))


def test_the_other_layers_run_sdpa(recording, monkeypatch):
    asked = []

    def watched(module, *args, **kwargs):
        asked.append(module.layer_idx + 1)
        return sdpa(module, *args, **kwargs)

    sdpa = attention.sdpa_attention_forward
    monkeypatch.setattr(attention, "sdpa_attention_forward", watched)
    record_attention(recording, {3})
    call(recording)
    assert asked == [1, 2, 4]


def test_the_model_says_the_same_whichever_layers_it_records(recording, pretrained):
    fast = load(pretrained, "sdpa")(IDS, attention_mask=MASK).last_hidden_state
    record_attention(recording, {2, 4})
    torch.testing.assert_close(call(recording).last_hidden_state[MASK.bool()], fast[MASK.bool()])


def test_other_layers_can_be_asked_for_later(recording):
    whole = call(recording).attentions
    record_attention(recording, {1})
    record_attention(recording, {2})
    (record,) = call(recording).attentions
    torch.testing.assert_close(record.queries, whole[1].queries)


def test_without_layers_it_is_sdpa_again(recording):
    record_attention(recording, set())
    assert recording.config._attn_implementation == "sdpa"


def test_an_implementation_that_does_not_record_is_left_alone(pretrained):
    model = load(pretrained, "eager")
    record_attention(model, set())
    assert model.config._attn_implementation == "eager"


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
    record_attention(model, {1})
    (record,) = model(IDS, attention_mask=MASK, output_attentions=True).attentions
    assert record.attention_scores.shape == (3, 4, 6, 6)
