from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import crf
from models.output import ATTENTION, LAYERWISE, LOGITS, NEVER, STATES, Field, ModelOutput, Spec

MASK = torch.ones(2, 4, dtype=torch.bool)


def output(layers=3, exits=2):
    def by_layer(start, *shape):
        return {layer: torch.randn(*shape, requires_grad=True).half() for layer in range(start, layers + 1)}

    return ModelOutput(
        logits=torch.randn(2, 3, requires_grad=True),
        mask=MASK,
        hidden_states=by_layer(0, 2, 4, 6),
        mean_states=by_layer(0, 2, 6),
        cls_states=by_layer(0, 2, 6),
        attention_scores=by_layer(1, 2, 2, 4, 4),
        **{name: by_layer(1, 2, 2, 4, 3) for name in ("queries", "keys", "values")},
        exits=tuple(torch.randn(2, 3, requires_grad=True) for _ in range(exits)),
    )


def tensors(value):
    """All tensors of an output, however deep."""
    if value is None:
        return []
    if isinstance(value, torch.Tensor):
        return [value]
    parts = value if isinstance(value, tuple) else (value if isinstance(value, dict) else vars(value)).values()
    return [tensor for item in parts for tensor in tensors(item)]


def by_field(value):
    """The tensors that have a layer, by their field."""
    return {Field(name, layer): tensor for name in LAYERWISE for layer, tensor in getattr(value, name).items()}


SPEC = Spec("bert", (32, 32, 32, 32, 32), 2, 1_234_567, 3, "t", "s", frozenset({"logits"}))


def test_nothing_that_is_detached_has_a_gradient():
    whole = output()
    detached = whole.detach()
    assert not any(tensor.requires_grad for tensor in tensors(detached))
    assert len(tensors(detached)) == len(tensors(whole)) == 1 + 1 + 3 * 4 + 4 * 3 + 2


def test_detaching_keeps_the_values_and_leaves_the_original_alone():
    whole = output()
    detached = whole.detach()
    assert by_field(detached).keys() == by_field(whole).keys()
    assert all(one.equal(other) for one, other in zip(tensors(detached), tensors(whole), strict=True))
    assert all(tensor.requires_grad for tensor in tensors(whole) if tensor is not whole.mask)


def test_float_reaches_every_tensor_but_the_mask():
    converted = output().float()
    assert converted.mask.dtype == torch.bool
    assert {tensor.dtype for tensor in tensors(converted) if tensor is not converted.mask} == {torch.float32}


def test_what_was_not_recorded_stays_empty():
    bare = ModelOutput(torch.zeros(1, 2), torch.ones(1, 1, dtype=torch.bool)).detach().float()
    assert by_field(bare) == {}
    assert bare.exits == ()


def test_every_field_with_layers_is_one_of_states_or_attention():
    assert set(LAYERWISE) == STATES | ATTENTION
    assert not STATES & ATTENTION
    assert set(vars(output())) == set(LAYERWISE) | {"logits", "mask", "exits", "rows", "choices", "chain"}


def test_a_field_finds_its_tensor():
    whole = output()
    assert whole[LOGITS] is whole.logits
    assert all(whole[key] is tensor for key, tensor in by_field(whole).items())


@pytest.mark.parametrize("key", [Field("keys", 4), Field("keys", 0), Field("hidden_states", 4)])
def test_a_layer_that_is_not_there_is_not_replaced_by_another(key):
    with pytest.raises(KeyError):
        output()[key]


def test_an_output_can_be_made_of_single_tensors():
    given = {LOGITS: torch.randn(2, 3), Field("hidden_states", 0): torch.randn(2, 4, 6), Field("keys", 3): MASK}
    made = ModelOutput.of(given, MASK)
    assert made.mask is MASK
    assert all(made[key] is tensor for key, tensor in given.items())
    assert by_field(made).keys() == given.keys() - {LOGITS}
    assert made.exits == ()


def test_an_output_made_without_logits_has_empty_ones():
    made = ModelOutput.of({Field("mean_states", 2): torch.randn(2, 6)}, MASK)
    assert (made.logits.numel(), made.logits.dtype) == (0, torch.float32)
    assert list(by_field(made)) == [Field("mean_states", 2)]


@given(st.sampled_from(sorted(LAYERWISE)), st.integers(0, 200))
def test_a_field_is_read_as_it_is_written(name, layer):
    assert Field.parse(str(Field(name, layer))) == Field(name, layer)
    assert str(Field(name, layer)) == f"{name}.{layer}"


def test_logits_are_written_without_layer():
    assert str(LOGITS) == "logits"
    assert Field.parse("logits") == LOGITS


def test_fields_have_an_order():
    fields = [Field("keys", 10), Field("hidden_states", 3), Field("keys", 9)]
    assert sorted(fields) == [fields[1], fields[2], fields[0]]


def test_the_dimensions_of_a_sequence_are_those_as_long_as_it_is(make_spec, make_output):
    whole = make_output(make_spec(), rows=3, tokens=7)
    words = torch.ones(3, 7, dtype=torch.bool)
    tags, spans = torch.randn(3, 7, 5), torch.randn(3, 2, 7)
    tensors = [(whole, *field) for field in [*by_field(whole).items(), (LOGITS, whole.logits)]]
    assert len(tensors) == 3 * 3 + 4 * 2 + 1
    tensors += [(ModelOutput.of({LOGITS: tags}, words, rows=words), LOGITS, tags)]
    tensors += [(ModelOutput.of({LOGITS: spans}, words, choices=words), LOGITS, spans)]
    for output, key, tensor in tensors:
        long = tuple(number for number, size in enumerate(tensor.shape) if size == 7)
        assert output.sequence_dimensions(key) == long, key


def test_a_word_that_is_not_there_is_not_chosen():
    words = torch.tensor([[True, True, False], [True, False, True]])
    logits = torch.randn(2, 2, 3)
    made = ModelOutput.of({LOGITS: logits}, MASK, choices=words)
    assert made.choices is words
    assert made.rows is None
    assert (made.logits[0, :, 2] == NEVER).all()
    assert (made.logits[1, :, 1] == NEVER).all()
    assert made.logits[0, :, :2].equal(logits[0, :, :2])
    assert made.logits.half().isfinite().all()


def test_nor_is_a_class_of_another_task():
    classes = torch.tensor([[True, True, False], [False, False, True]])
    logits = torch.randn(2, 3)
    made = ModelOutput.of({LOGITS: logits}, MASK, choices=classes)
    assert made.logits.equal(logits.masked_fill(~classes, NEVER))
    assert made.sequence_dimensions(LOGITS) == ()


def test_at_an_exit_the_output_has_its_logits_and_no_exits():
    whole = output()
    cut = whole.at_exit(1)
    assert cut.logits is whole.exits[1]
    assert cut.exits == ()
    assert all(cut[key] is tensor for key, tensor in by_field(whole).items())
    assert by_field(cut).keys() == by_field(whole).keys()
    assert cut.mask is whole.mask


def test_an_exit_leaves_the_original_alone():
    whole = output()
    logits, exits = whole.logits, whole.exits
    whole.at_exit(0)
    assert whole.logits is logits
    assert whole.exits is exits


def test_an_exit_of_an_output_without_records_has_none():
    whole = output()
    assert by_field(ModelOutput(whole.logits, whole.mask, exits=whole.exits).at_exit(0)) == {}


def test_a_spec_cut_at_an_exit_has_its_layers_alone():
    cut = SPEC.at_exit(2)
    assert cut.layers == 2
    assert cut.widths == SPEC.widths[:3]
    assert (cut.tokenizer, cut.segmentation) == ("t", "s")


def test_a_spec_reads_as_a_line_of_the_plan():
    assert str(SPEC) == "bert, 4 layers, width 32, 2 heads, 1.2 M parameters"


def test_a_spec_without_heads_and_with_one_layer_says_so():
    spec = Spec("potstill_bilstm", (384, 300), None, 12_000_000, 2, "t", "s", frozenset())
    assert str(spec) == "potstill_bilstm, 1 layer, width 300, 12.0 M parameters"


def test_logits_of_a_chain_follow_from_its_labels_and_from_its_best_path():
    words = torch.tensor([[True, True, False], [True, True, True]])
    emissions, transitions = torch.randn(2, 3, 4), torch.randn(5, 5)
    alone = ModelOutput.of({LOGITS: emissions}, MASK, rows=words)
    labels = torch.tensor([[1, 3, -100], [0, 0, 2]])
    assert alone.given(labels) is alone.deciding is emissions
    chained = replace(alone, chain=(emissions, transitions)).detach().float()
    assert chained.given(labels).equal(crf.given(emissions, transitions, labels))
    assert chained.deciding.equal(crf.best(emissions, transitions, words))
