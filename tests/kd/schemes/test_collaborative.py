import pytest
import torch
from torch.nn import functional as F

from kd.schemes.collaborative import Collaborative, general_shares, linear, min_logit, naive
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
    with pytest.raises(UserError, match=r"scheme.target: 'mean' is none of naive, linear, minlogit, general"):
        Collaborative("mean")


def test_general_finds_the_mean_of_probabilities_with_the_lowest_squared_error():
    """On held-out rows that come in two batches: as good as the best of a thousand weights."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (64,), generator=draw)
    gold = F.one_hot(labels, 3).float()
    said = {"student": torch.randn(64, 3, generator=draw) + gold, "peer": torch.randn(64, 3, generator=draw) + 2 * gold}
    scheme = Collaborative("general")
    assert scheme.shares.tolist() == [0.5, 0.5]
    for part in (slice(40), slice(40, 64)):
        scheme.on_validation_batch({name: logits[part] for name, logits in said.items()}, labels[part])
    scheme.on_validation_end()
    one, other = (logits.softmax(-1) for logits in said.values())
    costs = [(share * one + (1 - share) * other - gold).square().sum().item() for share in torch.linspace(0, 1, 1001)]
    best = min(range(1001), key=costs.__getitem__) / 1000
    assert scheme.shares[0].item() == pytest.approx(best, abs=2e-3)
    assert scheme.shares.sum().item() == pytest.approx(1)
    assert scheme.errors.eq(0).all()
    assert "shares" in scheme.state_dict()


def test_general_teaches_the_mean_of_probabilities(specs, step_of, parts_of):
    scheme = Collaborative("general")
    scheme.shares.copy_(torch.tensor([0.25, 0.75]))
    step = step_of({"student": Z[0], "peer": Z[1]}, labels=[-100])
    mixed = 0.25 * Z[0].softmax(-1) + 0.75 * Z[1].softmax(-1)
    found = parts_of(scheme, specs, step)["kd/kl/student<-group"]
    own = Z[0].log_softmax(-1)
    assert found.item() == pytest.approx((mixed * (mixed.log() - own)).sum().item(), rel=1e-4)
    assert scheme.takes_unlabelled
    assert not Collaborative("naive").takes_unlabelled


def test_shares_of_members_that_are_alike_or_useless():
    assert general_shares(torch.full((3, 3), 2.0)).tolist() == pytest.approx([1 / 3] * 3)
    assert general_shares(torch.tensor([[1.0, 3.0], [3.0, 10.0]])).tolist() == [1.0, 0.0]
    assert general_shares(torch.zeros(2, 2)).tolist() == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("seed", range(20))
def test_shares_of_three_are_the_best_of_a_grid(seed):
    points = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed)) + 0.7
    errors = points @ points.T
    steps = torch.linspace(0, 1, 101)
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1).flatten(0, 1)
    grid = torch.cat([grid, 1 - grid.sum(1, keepdim=True)], 1)
    grid = grid[grid[:, 2] >= 0]
    costs = torch.einsum("nk,kl,nl->n", grid, errors, grid)
    shares = general_shares(errors)
    assert shares.min() >= 0
    assert (shares @ errors @ shares).item() <= costs.min().item() + 1e-4
