import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from models.exits import mean_of_real
from models.heads import MASKED, SPANS
from models.network import Network, attention_layers, by_layer, parameter_count
from models.output import ATTENTION, LAYERWISE, LOGITS, NEVER, STATES, Field
from models.sources import Folder
from models.transformer import Pretrained, load

TEXTS = ["a wonderful film", "its plot is dull and boring", "a"]


@pytest.fixture
def network(fine_tuned):
    return Pretrained(Folder(str(fine_tuned))).draft(("bad", "good")).network().eval()


def encodings(network, texts=TEXTS):
    return {network.spec.tokenizer: network.tokenizer(texts, padding=True, return_tensors="pt")}


def test_it_reads_the_encoding_of_its_own_tokenizer(network, fine_tuned):
    other = {"another": {"input_ids": torch.zeros(1, 1, dtype=torch.long)}}
    model = AutoModelForSequenceClassification.from_pretrained(fine_tuned).eval()
    expected = model(**network.tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    torch.testing.assert_close(network(other | encodings(network)).logits, expected)


def recorded(output):
    """The fields that an output has beside its logits."""
    return {Field(name, layer) for name in LAYERWISE for layer in getattr(output, name)}


def test_nothing_is_recorded_that_was_not_asked_for(network):
    output = network(encodings(network))
    assert recorded(output) == set()
    assert output.exits == ()


@pytest.mark.parametrize(
    "fields",
    [
        {Field("hidden_states", 2)},
        {Field("mean_states", 4), LOGITS},
        {Field("cls_states", 0), Field("hidden_states", 4)},
        {Field("attention_scores", 2), Field("keys", 2), Field("values", 4)},
        {Field("queries", 1), Field("mean_states", 1)},
        {Field(name, layer) for name in STATES | ATTENTION for layer in (1, 3)},
    ],
)
def test_exactly_the_tensors_asked_for_are_given(network, fields):
    network.record(fields)
    output = network(encodings(network), frozenset(fields))
    assert recorded(output) == fields - {LOGITS}
    assert output.logits.shape == (3, 2)


def test_the_mask_tells_the_real_positions(network):
    mask = network(encodings(network)).mask
    assert mask.dtype == torch.bool
    assert mask.sum(1).tolist() == [len(ids) for ids in network.tokenizer(TEXTS)["input_ids"]]


def everything(network):
    """All that a network of four layers can give beside its logits."""
    states = {Field(name, layer) for name in STATES for layer in range(5)}
    return frozenset(states | {Field(name, layer) for name in ATTENTION for layer in range(1, 5)})


def test_hidden_states_are_as_many_and_as_wide_as_the_spec_says(network):
    fields = frozenset(Field("hidden_states", layer) for layer in range(network.spec.layers + 1))
    states = network(encodings(network), fields).hidden_states
    assert tuple(states[layer].shape[-1] for layer in range(len(states))) == network.spec.widths


def test_states_are_those_of_their_layer_and_what_is_made_of_them(network):
    inputs = encodings(network)[network.spec.tokenizer]
    expected = network.model(**inputs, output_hidden_states=True).hidden_states
    output = network(encodings(network), frozenset(key for key in everything(network) if key.name in STATES))
    for layer in range(5):
        torch.testing.assert_close(output.hidden_states[layer], expected[layer])
        torch.testing.assert_close(output.mean_states[layer], mean_of_real(expected[layer], output.mask))
        torch.testing.assert_close(output.cls_states[layer], expected[layer][:, 0])


def test_attention_is_that_of_its_layer(network, fine_tuned):
    network.record(everything(network))
    output = network(encodings(network), everything(network))
    eager = AutoModelForSequenceClassification.from_pretrained(fine_tuned, attn_implementation="eager").eval()
    expected = eager(**encodings(network)[network.spec.tokenizer], output_attentions=True).attentions
    for layer in range(1, 5):
        scores = output.attention_scores[layer].masked_fill(~output.mask[:, None, None], -torch.inf)
        torch.testing.assert_close(scores.softmax(-1), expected[layer - 1])
        modules = network.model.bert.encoder.layer[layer - 1].attention.self
        for name, project in (("queries", modules.query), ("keys", modules.key), ("values", modules.value)):
            projected = project(output.hidden_states[layer - 1]).unflatten(-1, (2, 16)).transpose(1, 2)
            torch.testing.assert_close(getattr(output, name)[layer], projected)
    assert output.attention_scores[1].shape[1] == network.spec.heads


def test_the_layers_of_attention_are_those_of_its_fields():
    fields = {Field("keys", 2), Field("attention_scores", 4), Field("values", 2), Field("cls_states", 1), LOGITS}
    assert attention_layers(frozenset(fields)) == {2, 4}
    assert attention_layers(frozenset()) == set()


@pytest.mark.parametrize(
    ("fields", "implementation"),
    [
        ({Field("queries", 1)}, "recording"),
        ({Field("mean_states", 1), Field("hidden_states", 4), LOGITS}, "sdpa"),
        (set(), "sdpa"),
    ],
)
def test_attention_is_as_fast_as_what_is_asked_for_allows(network, fields, implementation):
    network.record(frozenset({Field("attention_scores", 3)}))
    network.record(frozenset(fields))
    assert network.model.config._attn_implementation == implementation


def test_exits_add_their_logits_and_hand_out_no_hidden_states(network):
    network.add_exits((1, 3))
    output = network.eval()(encodings(network))
    assert [logits.shape for logits in output.exits] == [(3, 2), (3, 2)]
    assert recorded(output) == set()


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
    network.record(frozenset({Field("attention_scores", 1)}))
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


class TestFingerprint:
    def test_the_same_weights_elsewhere_have_the_same_name(self, network, tmp_path):
        network.save(tmp_path / "one")
        shutil.copytree(tmp_path / "one", tmp_path / "other")
        names = {load(tmp_path / folder).fingerprint() for folder in ("one", "other")}
        assert names == {network.fingerprint()}

    def test_every_weight_counts(self, network):
        names = {network.fingerprint()}
        for weight in network.model.parameters():
            with torch.no_grad():
                weight.flatten()[-1] += 1e-3
            names.add(network.fingerprint())
        assert len(names) == 1 + len(list(network.model.parameters()))

    def test_the_precision_of_the_weights_counts(self, network):
        assert network.fingerprint() != network.bfloat16().fingerprint()

    @pytest.mark.parametrize("changed", [{"layer_norm_eps": 1e-3}, {"hidden_act": "relu"}, {"num_attention_heads": 4}])
    def test_what_decides_the_output_in_the_config_counts(self, network, changed):
        before = network.fingerprint()
        network.model.config.update(changed)
        assert network.fingerprint() != before

    def test_where_it_was_loaded_from_and_by_whom_does_not_count(self, network):
        before = network.fingerprint()
        network.model.config.update({"_name_or_path": "elsewhere", "architectures": None, "transformers_version": "9"})
        assert network.fingerprint() == before

    def test_having_run_recorded_and_got_exits_does_not_count(self, network):
        before = network.fingerprint()
        network.record(everything(network))
        network(encodings(network), everything(network))
        network.add_exits((1, 3))
        network.train().requires_grad_(False)
        assert network.fingerprint() == before


def test_records_belong_to_the_layers_asked_for_or_to_all():
    """A model whose layers share their modules records in every one."""
    assert by_layer(["first", "third"], {3, 1}, layers=4) == {1: "first", 3: "third"}
    assert by_layer(["one", "two", "three"], {3}, layers=3) == {1: "one", 2: "two", 3: "three"}


def test_the_last_layer_has_a_row_for_each_class(fine_tuned):
    network = Pretrained(Folder(str(fine_tuned))).draft(("bad", "good")).network()
    assert network.class_vectors() is network.model.classifier.weight


PLACES = torch.tensor([[-1, 0, -1, 1, -1, -1, -1, -1], [-1, -1, 0, 1, 1, 2, -1, -1], [-1, 0, -1, -1, -1, -1, -1, -1]])


def in_places(pretrained, problem):
    """A network for the problem, the encodings of the texts with their words, and the places alone."""
    torch.manual_seed(0)
    network = Pretrained(Folder(str(pretrained))).draft(("a", "b"), problem=problem).network().eval()
    (key, encoding), *_ = encodings(network).items()
    places = PLACES[:, : encoding["input_ids"].shape[1]]
    return network, encoding, {key: {**encoding, "words": places, "word_count": 3}}


def test_masked_words_have_the_logits_that_the_whole_model_gives_them(pretrained):
    network, encoding, with_words = in_places(pretrained, MASKED)
    output = network(with_words, frozenset({Field("hidden_states", 4)}))
    whole = network.model(**encoding, output_hidden_states=True)
    assert network.spec.classes == len(network.tokenizer) == output.logits.shape[-1]
    assert output.rows.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    torch.testing.assert_close(output.logits[0, :2], whole.logits[0, [1, 3]])
    torch.testing.assert_close(output.logits[1], whole.logits[1, [2, 3, 5]])
    torch.testing.assert_close(output.hidden_states[4], whole.hidden_states[4])


def test_begin_and_end_of_a_span_are_those_of_words(pretrained):
    network, encoding, with_words = in_places(pretrained, SPANS)
    output, whole = network(with_words), network.model(**encoding)
    torch.testing.assert_close(output.logits[1, 0, 1], whole.start_logits[1, 3:5].logsumexp(0))
    torch.testing.assert_close(output.logits[0, 1, :2], whole.end_logits[0, [1, 3]])
    assert (output.logits[2, :, 1:] == NEVER).all()
    assert output.choices.equal(with_words[network.spec.tokenizer]["words"].unsqueeze(-1).eq(torch.arange(3)).any(1))


def test_a_new_head_leaves_what_it_shares_with_the_encoder(pretrained):
    network, _, _ = in_places(pretrained, MASKED)
    before = {name: tensor.clone() for name, tensor in network.model.state_dict().items()}
    network.reset_head()
    changed = {name for name, tensor in network.model.state_dict().items() if not tensor.equal(before[name])}
    assert changed
    assert all(name.startswith("cls.predictions.transform.dense") for name in changed)
