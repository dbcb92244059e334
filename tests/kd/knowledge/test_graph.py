import math

import pytest
import torch
from torch.nn import functional as F

from kd.knowledge import pairing
from kd.knowledge.graph import GraphNetwork, RepresentationGraph
from kd.moment import Moment


def made(spec, other=None, **options):
    torch.manual_seed(0)
    term = RepresentationGraph(pairing.uniform, **options)
    term.connect(spec, other or spec)
    return term


def test_a_graph_is_bounded_probabilities():
    network = GraphNetwork(8, 8, heads=2, inner=4)
    graph = network(torch.randn(5, 8), 100 * torch.randn(5, 8)).exp()
    assert graph.shape == (2, 5, 5)
    torch.testing.assert_close(graph.sum(-1), torch.ones(2, 5))
    assert graph.max() <= math.exp(2) / 4
    assert graph.min() >= math.exp(-2) / 5


def test_equal_vectors_leave_the_network_s_own_loss(make_spec, make_output):
    spec = make_spec()
    term, output = made(spec, warm_up=0), make_output(spec)
    vectors = [F.normalize(output.mean_states[layer], dim=-1) for layer in range(3)]
    own = sum(network.estimate(*vectors[n : n + 2]) for n, network in enumerate(term.networks))
    assert term(output, output, {}).item() == pytest.approx(own.item(), rel=1e-5)


def test_neither_side_reaches_the_other(make_spec, make_output):
    """The graph network learns the same whatever the learner says; the learner has no part in the estimate."""
    spec, gradients = make_spec(), []
    for seed in (1, 2):
        term, ours, theirs = made(spec, warm_up=0), make_output(spec, seed=seed), make_output(spec)
        for states in (*ours.mean_states.values(), *theirs.mean_states.values()):
            states.requires_grad_()
        term(ours, theirs, {}).backward()
        gradients.append([weight.grad for weight in term.networks.parameters()])
        assert all(states.grad is None for states in theirs.mean_states.values())
        assert all(states.grad.abs().sum() > 0 for states in ours.mean_states.values())
    assert all(one.equal(other) for one, other in zip(*gradients, strict=True))


def test_the_learner_waits_until_the_network_knows_something(make_spec, make_output):
    spec = make_spec()
    term, ours, theirs = made(spec, warm_up=0.5), make_output(spec, seed=1), make_output(spec)
    own = term(theirs, theirs, {}).item()
    values = []
    for update in (0, 5, 10):
        term.at(Moment(update, 11))
        values.append(term(ours, theirs, {}).item() - own)
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert values[1] == pytest.approx(values[2], rel=1e-4)
    assert values[2] > 0


def test_widths_and_one_layer(make_spec, make_output):
    learner, teacher = make_spec(widths=(6, 4)), make_spec(widths=(8, 8, 6))
    term = made(learner, teacher)
    assert term(make_output(learner), make_output(teacher), {}).isfinite()
    assert "between pairs of layers" in RepresentationGraph(pairing.last).fits(learner, teacher)
