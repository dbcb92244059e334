import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from models.network import Network, parameter_count
from models.output import AttentionRecord
from models.sources import Folder
from models.transformer import Pretrained, load

TEXTS = ["a wonderful film", "its plot is dull and boring", "a"]


@pytest.fixture
def network(fine_tuned):
    return Pretrained(Folder(str(fine_tuned))).draft(("bad", "good"), None, list).network().eval()


def encodings(network, texts=TEXTS):
    return {network.spec.tokenizer: network.tokenizer(texts, padding=True, return_tensors="pt")}


def test_it_reads_the_encoding_of_its_own_tokenizer(network, fine_tuned):
    other = {"another": {"input_ids": torch.zeros(1, 1, dtype=torch.long)}}
    model = AutoModelForSequenceClassification.from_pretrained(fine_tuned).eval()
    expected = model(**network.tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    torch.testing.assert_close(network(other | encodings(network)).logits, expected)


def test_nothing_is_recorded_that_was_not_asked_for(network):
    output = network(encodings(network))
    assert output.hidden_states is None
    assert output.attentions is None
    assert output.exits == ()


def test_the_mask_tells_the_real_positions(network):
    mask = network(encodings(network)).mask
    assert mask.dtype == torch.bool
    assert mask.sum(1).tolist() == [len(ids) for ids in network.tokenizer(TEXTS)["input_ids"]]


def test_hidden_states_are_as_many_and_as_wide_as_the_spec_says(network):
    states = network(encodings(network), {"hidden_states"}).hidden_states
    assert tuple(state.shape[-1] for state in states) == network.spec.widths


def test_attentions_are_given_once_it_is_prepared_to(network):
    network.record({"attentions"})
    output = network(encodings(network), {"attentions"})
    assert len(output.attentions) == network.spec.layers
    assert all(isinstance(record, AttentionRecord) for record in output.attentions)
    assert output.attentions[0].scores.shape[1] == network.spec.heads
    assert output.hidden_states is None


def test_exits_add_their_logits_and_hand_out_no_hidden_states(network):
    network.add_exits((1, 3))
    output = network.eval()(encodings(network))
    assert [logits.shape for logits in output.exits] == [(3, 2), (3, 2)]
    assert output.hidden_states is None


def test_a_saved_network_says_the_same(network, tmp_path):
    before = network(encodings(network)).logits
    network.save(tmp_path)
    again = load(tmp_path).eval()
    torch.testing.assert_close(again(encodings(again)).logits, before)
    assert again.spec.tokenizer == network.spec.tokenizer
    assert again.spec.parameters == network.spec.parameters


def test_saving_leaves_the_network_as_it_was(network, tmp_path):
    before = network(encodings(network)).logits
    network.save(tmp_path)
    torch.testing.assert_close(network(encodings(network)).logits, before)


def test_a_network_that_records_is_saved_as_one_that_does_not(network, tmp_path):
    network.record({"attentions"})
    network.save(tmp_path)
    assert load(tmp_path).model.config._attn_implementation == "sdpa"


def test_class_names_are_saved(network, tmp_path):
    network.save(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert model.config.id2label == {0: "bad", 1: "good"}
    assert model.config.label2id == {"bad": 0, "good": 1}


def test_exits_are_saved_beside_the_model(network, tmp_path):
    network.add_exits((1, 3))
    network.save(tmp_path)
    assert load_file(tmp_path / "exits.safetensors").keys() == network.exits.state_dict().keys()
    with safe_open(tmp_path / "exits.safetensors", "pt") as file:
        assert file.metadata() == {"layers": "1,3"}
    assert load(tmp_path).exits is None


def test_without_exits_no_file_is_written_for_them(network, tmp_path):
    network.save(tmp_path)
    assert not (tmp_path / "exits.safetensors").exists()


def test_shared_parameters_count_once():
    layer = torch.nn.Linear(3, 4)
    assert parameter_count(torch.nn.ModuleList([layer, layer])) == 16


def test_its_gradients_reach_the_embeddings(network):
    network(encodings(network)).logits.sum().backward()
    assert network.model.get_input_embeddings().weight.grad.abs().sum() > 0
    assert isinstance(network, Network)
