import torch

from models.output import AttentionRecord, ModelOutput, Spec


def output(layers=3, exits=2):
    states = tuple(torch.randn(2, 4, 6, requires_grad=True).half() for _ in range(layers + 1))
    record = [torch.randn(2, 2, 4, 4), *(torch.randn(2, 2, 4, 3, requires_grad=True) for _ in range(3))]
    return ModelOutput(
        logits=torch.randn(2, 3, requires_grad=True),
        mask=torch.ones(2, 4, dtype=torch.bool),
        hidden_states=states,
        attentions=tuple(AttentionRecord(*record) for _ in range(layers)),
        exits=tuple(torch.randn(2, 3, requires_grad=True) for _ in range(exits)),
    )


def tensors(value):
    """All tensors of an output, however deep."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple):
        return [tensor for item in value for tensor in tensors(item)]
    return [tensor for item in vars(value).values() if item is not None for tensor in tensors(item)]


SPEC = Spec("bert", (32, 32, 32, 32, 32), 2, 1_234_567, 3, "t", frozenset({"logits"}))


def test_nothing_that_is_detached_has_a_gradient():
    whole = output()
    detached = whole.detach()
    assert not any(tensor.requires_grad for tensor in tensors(detached))
    assert len(tensors(detached)) == len(tensors(whole)) == 20


def test_detaching_keeps_the_values_and_leaves_the_original_alone():
    whole = output()
    assert torch.equal(whole.detach().attentions[2].value, whole.attentions[2].value)
    assert whole.logits.requires_grad


def test_float_reaches_every_tensor_but_the_mask():
    converted = output().float()
    assert converted.mask.dtype == torch.bool
    assert {tensor.dtype for tensor in tensors(converted)} == {torch.float32, torch.bool}


def test_what_was_not_recorded_stays_none():
    bare = ModelOutput(torch.zeros(1, 2), torch.ones(1, 1, dtype=torch.bool)).detach().float()
    assert bare.hidden_states is None
    assert bare.attentions is None
    assert bare.exits == ()


def test_at_an_exit_the_output_ends_with_its_layer():
    whole = output()
    cut = whole.at_exit(number=1, layer=2)
    assert cut.logits is whole.exits[1]
    assert cut.hidden_states == whole.hidden_states[:3]
    assert cut.attentions == whole.attentions[:2]
    assert cut.exits == ()


def test_an_exit_of_an_output_without_records_has_none():
    whole = output()
    bare = ModelOutput(whole.logits, whole.mask, exits=whole.exits).at_exit(0, 1)
    assert bare.hidden_states is None
    assert bare.attentions is None


def test_a_spec_cut_at_an_exit_fits_the_output_cut_there():
    cut = SPEC.at_exit(2)
    assert cut.layers == 2
    assert len(cut.widths) == len(output().at_exit(1, 2).hidden_states)
    assert cut.tokenizer == SPEC.tokenizer


def test_a_spec_reads_as_a_line_of_the_plan():
    assert str(SPEC) == "bert, 4 layers, width 32, 2 heads, 1.2 M parameters"


def test_a_spec_without_heads_and_with_one_layer_says_so():
    spec = Spec("potstill_bilstm", (384, 300), None, 12_000_000, 2, "t", frozenset())
    assert str(spec) == "potstill_bilstm, 1 layer, width 300, 12.0 M parameters"
