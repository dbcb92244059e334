import pytest
import torch
from torch.nn import functional as F

from kd.schemes.collaborative import Collaborative, linear, min_logit, naive
from potstill.errors import UserError

Z = [torch.tensor([[2.0, 1, 0]]), torch.tensor([[1.0, 3, 0]])]
GOLD = torch.tensor([0])


@pytest.fixture
def specs(make_spec):
    return {"student": make_spec(), "peer": make_spec()}


def test_min_logit():
    """Less the true class's: (0, -1, -2) and (0, 2, -1)."""
    target = min_logit(Z, GOLD)
    assert target.tolist() == [[0, -1, -2]]
    assert target.softmax(-1)[0, 0].item() == pytest.approx(0.665241, abs=1e-6)


def test_no_member_is_surer_of_the_truth_than_min_logit():
    logits, labels = list(torch.randn(3, 50, 4)), torch.randint(4, (50,))
    rows = torch.arange(50)
    target = min_logit(logits, labels).softmax(-1)[rows, labels]
    assert all((target >= each.softmax(-1)[rows, labels] - 1e-6).all() for each in logits)


def test_naive_takes_the_better_member_row_by_row():
    logits = [torch.cat([Z[0], Z[1]]), torch.cat([Z[1], Z[0]])]
    assert naive(logits, torch.tensor([0, 0])).tolist() == [[2, 1, 0], [2, 1, 0]]


def test_linear_finds_the_best_weights():
    """As good as the best of a thousand weights, on labels that neither member knows alone."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (64,), generator=draw)
    gold = F.one_hot(labels, 3).float()
    one, other = (torch.randn(64, 3, generator=draw) + gold * size for size in (1.0, 1.5))
    found = F.cross_entropy(linear([one, other], labels), labels)
    best = min(F.cross_entropy(share * one + (1 - share) * other, labels) for share in torch.linspace(0, 1, 1001))
    assert found.item() == pytest.approx(best.item(), abs=1e-3)
    assert found < min(F.cross_entropy(one, labels), F.cross_entropy(other, labels))


def test_linear_leaves_a_useless_member_out():
    labels = torch.tensor([0, 1, 0, 1])
    good, bad = F.one_hot(labels, 2).float(), F.one_hot(1 - labels, 2).float()
    torch.testing.assert_close(linear([good, bad], labels), good, atol=0.05, rtol=0)


@pytest.mark.parametrize("target", ["naive", "linear", "minlogit"])
def test_each_learns_from_the_group_which_has_no_gradient(target, specs, step_of, parts_of):
    said = {"student": Z[0].clone().requires_grad_(), "peer": Z[1].clone().requires_grad_()}
    parts = parts_of(Collaborative(target), specs, step_of(said, labels=[0]))
    parts["kd/kl/peer<-group"].backward()
    assert said["student"].grad is None
    assert said["peer"].grad.abs().sum() > 0


def test_unknown_target():
    with pytest.raises(UserError, match=r"scheme.target: 'mean' is none of naive, linear, minlogit"):
        Collaborative("mean")
