"""What holds for every piece of knowledge that a config names."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor

from kd import catalogue
from kd.probe import why_not
from models.output import ATTENTION, STATES, ModelOutput

ROOT = Path(__file__).parent.parent.parent
COMBINATIONS = {"none", "feature", "relation", "minilm", "tinybert", "instance_graph"}
NAMES = sorted({path.stem for path in (ROOT / "conf" / "kd").glob("*.yaml")} - COMBINATIONS)
EVERYTHING = frozenset({"logits"}) | STATES | ATTENTION
LENGTHS = [3, 5, 1, 2]
BATCH = {"id": torch.arange(4), "labels": torch.tensor([0, 0, 0, -100])}

NOT_ZERO = {  # a target that is not the teacher's own output, other layers, or a loss with a floor
    *("annealed_logits", "softened_teacher", "soft_cross_entropy"),
    *("mixed_layers", "random_layers", "transported_layers"),
    *("bank_contrast", "contrast", "representation_graph"),
}
FOLLOWS_ITS_OWN_GRADIENT = {"transported_layers"}  # the way of transport is found without one
OWN = {"token_relations"}  # no paper's
SEES_TOKENS = {"attention", "attention_probabilities", "last_attention", "value_relation", "minilmv2"}
HEAD_BY_HEAD = {"attention_probabilities", "last_attention"}


@pytest.fixture(scope="session")
def entries():
    return {entry.choice: entry for entry in catalogue.entries()}


@pytest.fixture(params=NAMES)
def term(request, entries):
    torch.manual_seed(0)
    made = instantiate(entries[request.param].config, _convert_="all")
    made.name = request.param
    return made


def made_of(output, fields):
    """An output that has these tensors of another one and nothing else."""
    return ModelOutput.of({key: output[key] for key in fields}, output.mask)


def connected(term, learner, teacher):
    torch.manual_seed(0)
    term.connect(learner, teacher)
    return term


def test_the_catalogue_is_complete(entries):
    assert len(NAMES) > 40
    assert set(entries) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_entry_says_all_that_a_reader_needs(name, entries):
    entry = entries[name]
    assert entry.type in ("response", "feature", "relation")
    assert entry.parts.startswith(type(entry.term).__name__)
    assert entry.reads
    assert len(entry.comment.split()) > 3
    assert entry.source or name in OWN
    module = type(entry.term).__module__.split(".")
    assert (ROOT / "tests" / Path(*module[:-1]) / f"test_{module[-1]}.py").exists()


def test_the_docs_have_the_catalogue(entries):
    table = catalogue.table([entry.row for entry in entries.values()])
    assert table in (ROOT / "docs" / "knowledge.md").read_text(encoding="utf-8")


def test_printing_one_type(capsys):
    catalogue.main(["response"])
    printed = capsys.readouterr().out
    assert "| decoupled | response | DecoupledTargets" in printed
    assert "hidden_states" not in printed


def test_a_term_names_who_lacks_what_it_reads(term, make_spec):
    learners, teachers = term.requires(make_spec(), make_spec())
    name = min(field.name for field in learners | teachers)
    lacking = make_spec(provides=EVERYTHING - {name}, kind="mute")
    words = name.replace("_", " ")
    assert term.fits(lacking, make_spec()) == f"the learner (mute) gives no {words}"
    assert term.fits(make_spec(), lacking) == f"the teacher (mute) gives no {words}"
    assert term.fits(make_spec(), make_spec()) is None


def test_a_term_reads_nothing_but_what_it_requires_of_each_side(term, make_spec, make_output):
    heads = 2 if term.name in HEAD_BY_HEAD else 4
    learner, teacher = make_spec(widths=(8, 8, 8), heads=2), make_spec(widths=(8,) * 6, heads=heads)
    connected(term, learner, teacher)
    ours, theirs = make_output(learner), make_output(teacher, seed=1)
    mine, its = term.requires(learner, teacher)
    for field in sorted(mine):
        with pytest.raises((KeyError, RuntimeError, IndexError, ValueError)):
            term(made_of(ours, mine - {field}), made_of(theirs, its), BATCH)
    for field in sorted(its):
        with pytest.raises((KeyError, RuntimeError, IndexError, ValueError)):
            term(made_of(ours, mine), made_of(theirs, its - {field}), BATCH)
    assert term(made_of(ours, mine), made_of(theirs, its), BATCH).isfinite()


def test_narrow_and_shallow_learners_with_other_heads(term, make_spec, make_output):
    learner, teacher = make_spec(widths=(6, 4), heads=2), make_spec(widths=(8,) * 5, heads=4)
    reason = why_not(term, learner, teacher)
    if reason is None:
        connected(term, learner, teacher)
        assert term(make_output(learner), make_output(teacher, seed=1), BATCH).isfinite()
    else:
        assert "\n" not in reason


def test_token_by_token_comparison_needs_one_tokenizer_only_where_tokens_see_each_other(term, make_spec):
    reason = term.fits(make_spec(tokenizer="a"), make_spec(tokenizer="b"))
    assert ("different tokenizers" in (reason or "")) == (term.name in SEES_TOKENS)
    alike = replace(make_spec(tokenizer="a"), segmentation="b")
    assert term.fits(alike, make_spec(tokenizer="b")) is None


def test_equal_outputs_cost_nothing_and_others_something(term, make_spec, make_output):
    spec = make_spec()
    connected(term, spec, spec)
    one, other = make_output(spec, seed=0), make_output(spec, seed=1)
    other.logits[-1] *= 9  # some want to be sure
    term(other, one, BATCH)  # what remembers batches has one
    if term.name not in NOT_ZERO:
        assert term(one, one, BATCH).item() == pytest.approx(0, abs=1e-5)
    assert term(one, other, BATCH).item() > 1e-5


def test_padding_changes_nothing_whatever_it_holds_and_however_long(term, make_spec, make_output):
    spec = make_spec()
    connected(term, spec, spec)
    one, other = (make_output(spec, tokens=5, seed=seed, lengths=LENGTHS) for seed in (0, 1))
    state = deepcopy(term.state_dict())
    values = []
    for change in (lambda output: output, refilled, longer):
        term.load_state_dict(state)
        torch.manual_seed(0)
        values.append(term(change(one), change(other), BATCH).item())
    assert values[1:] == pytest.approx(values[:1] * 2, rel=1e-4, abs=1e-7)


def refilled(output):
    """The same with other numbers on padding."""
    result = deepcopy(output)
    for states in result.hidden_states.values():
        states[~result.mask] = 1e3
    real = result.mask[:, None, :, None] & result.mask[:, None, None, :]
    for scores in result.attention_scores.values():
        scores[~real.expand_as(scores)] = -1e3
    for vectors in (result.queries, result.keys, result.values):
        for vector in vectors.values():
            vector[~result.mask[:, None, :, None].expand_as(vector)] = 1e2
    return result


def longer(output):
    """The same with three more positions of padding."""

    def more(tensor: Tensor, *dimensions: int) -> Tensor:
        for dimension in dimensions:
            shape = [3 if number == dimension else size for number, size in enumerate(tensor.shape)]
            tensor = torch.cat([tensor, tensor.new_ones(shape)], dimension)
        return tensor

    return replace(
        output,
        mask=torch.cat([output.mask, torch.zeros(len(output.mask), 3, dtype=torch.bool)], 1),
        hidden_states={layer: more(states, 1) for layer, states in output.hidden_states.items()},
        attention_scores={layer: more(scores, 2, 3) for layer, scores in output.attention_scores.items()},
        **{
            name: {layer: more(vectors, 2) for layer, vectors in getattr(output, name).items()}
            for name in ("queries", "keys", "values")
        },
    )


@pytest.mark.parametrize("kind", ["one row", "no real token", "constant", "huge"])
def test_nothing_makes_losses_or_gradients_infinite(term, kind, make_spec, make_output):
    spec = make_spec()
    connected(term, spec, spec)
    rows, lengths = (1, None) if kind == "one row" else (4, [0, 5, 0, 2] if kind == "no real token" else None)
    one, other = (make_output(spec, rows=rows, seed=seed, lengths=lengths) for seed in (0, 1))
    if kind == "constant":
        one, other = (output._mapped(lambda x: torch.ones_like(x)) for output in (one, other))
    if kind == "huge":
        one, other = (output._mapped(low_and_huge) for output in (one, other))
    read = [one[key] for key in sorted(term.requires(spec, spec)[0])]
    for tensor in read:
        tensor.requires_grad_()
    for _ in range(2):  # the second time what remembers batches has one
        loss = term(one, other, {"id": torch.arange(rows), "labels": torch.zeros(rows, dtype=torch.long)})
        loss.backward()
        assert loss.isfinite()
    assert all(tensor.grad is None or tensor.grad.isfinite().all() for tensor in read)


def low_and_huge(tensor: Tensor) -> Tensor:
    """As a model in bfloat16 may give it, up to 10,000."""
    if not tensor.is_floating_point():
        return tensor
    return (1e4 * tensor / tensor.abs().max()).bfloat16().float()


def test_gradients_are_right(term, make_spec, make_output):
    if term.name in FOLLOWS_ITS_OWN_GRADIENT:
        pytest.skip("no gradient is taken of the way itself")
    spec = make_spec(widths=(4, 4, 4), heads=2)
    connected(term, spec, spec).double()
    one, other = (doubled(make_output(spec, rows=3, tokens=3, seed=seed)) for seed in (0, 1))
    ids = {"id": torch.arange(3), "labels": torch.zeros(3, dtype=torch.long)}
    term(one, other, ids | {"id": torch.arange(3, 6)})
    keys = sorted(term.requires(spec, spec)[0])

    def loss(*tensors: Tensor) -> Tensor:
        torch.manual_seed(0)
        return deepcopy(term)(ModelOutput.of(dict(zip(keys, tensors, strict=True)), one.mask), other, ids)

    assert torch.autograd.gradcheck(loss, [one[key].requires_grad_() for key in keys], atol=1e-4)


def doubled(output):
    return output._mapped(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)


def test_a_text_s_place_in_the_batch_does_not_matter(term, make_spec, make_output):
    spec = make_spec()
    connected(term, spec, spec)
    one, other = (make_output(spec, seed=seed, lengths=LENGTHS) for seed in (0, 1))
    order, state = torch.tensor([2, 0, 3, 1]), deepcopy(term.state_dict())
    values = []
    for change in (lambda tensor: tensor, lambda tensor: tensor[order]):
        term.load_state_dict(state)
        torch.manual_seed(0)
        batch = BATCH | {"labels": change(BATCH["labels"])}
        values.append(term(one._mapped(change), other._mapped(change), batch).item())
    assert values[0] == pytest.approx(values[1], rel=1e-4, abs=1e-7)
