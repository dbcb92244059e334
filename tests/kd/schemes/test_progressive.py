import math

import pytest
import torch
from torch.nn import functional as F

from kd.moment import Moment
from kd.schemes.progressive import Progressive
from potstill.errors import UserError

Z = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])


def after_an_epoch(step_of, said, ids=(7, 3), labels=(0, 1)):
    scheme = Progressive()
    scheme.after_batch(step_of({"student": said}, labels=labels, ids=ids, moment=Moment(0, 2, 0, 2)))
    scheme.at(Moment(1, 2, 1, 2))
    return scheme


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.8 / 300), (149, 0.4), (299, 0.8)])
def test_share(epoch, share):
    assert Progressive().share(Moment(0, 1, epoch, 300)) == pytest.approx(share)


def test_the_first_epoch_is_plain_training(make_spec, step_of, parts_of):
    step = step_of({"student": Z}, labels=[0, 2], moment=Moment(0, 1, 0, 2))
    parts = parts_of(Progressive(), {"student": make_spec()}, step)
    assert sum(parts.values()).item() == pytest.approx(F.cross_entropy(Z, torch.tensor([0, 2])).item(), rel=1e-5)


def test_then_the_target_is_part_label_part_former_prediction(make_spec, step_of, parts_of):
    """The gradient of the logits is the difference of probabilities and target, in the mean over rows."""
    before, now = torch.randn(2, 3), torch.randn(2, 3).requires_grad_()
    scheme = after_an_epoch(step_of, before)
    step = step_of({"student": now}, labels=[1, 0], ids=[3, 7], moment=Moment(1, 2, 1, 2))
    sum(parts_of(scheme, {"student": make_spec()}, step).values()).backward()
    target = 0.2 * F.one_hot(torch.tensor([1, 0]), 3) + 0.8 * before.flip(0).softmax(-1)
    torch.testing.assert_close(now.grad, (now.detach().softmax(-1) - target) / 2)


def test_rows_that_were_not_seen_have_their_label_alone(make_spec, step_of, parts_of):
    scheme = after_an_epoch(step_of, Z)
    now = torch.randn(2, 3).requires_grad_()
    step = step_of({"student": now}, labels=[1, 0], ids=[4, 9], moment=Moment(1, 2, 1, 2))
    sum(parts_of(scheme, {"student": make_spec()}, step).values()).backward()
    target = F.one_hot(torch.tensor([1, 0]), 3)
    torch.testing.assert_close(now.grad, (now.detach().softmax(-1) - target) / 2)


def test_unlabelled_rows_start_without_target_and_then_follow_themselves(make_spec, step_of, parts_of):
    specs, now = {"student": make_spec()}, Z.clone().requires_grad_()
    first = parts_of(Progressive(), specs, step_of({"student": now}, moment=Moment(0, 2, 0, 2)))
    sum(first.values()).backward()
    assert now.grad.abs().max() < 1e-6
    scheme = after_an_epoch(step_of, Z.flip(1), labels=(-100, -100))
    step = step_of({"student": now}, ids=[7, 3], moment=Moment(1, 2, 1, 2))
    parts = parts_of(scheme, specs, step)
    expected = F.kl_div(Z.log_softmax(-1), Z.flip(1).softmax(-1), reduction="batchmean")
    assert parts["kd/kl/student<-before"].item() == pytest.approx(0.8 * expected.item(), rel=1e-5)


def test_nothing_turns_within_an_epoch(step_of):
    scheme = Progressive()
    step = step_of({"student": Z}, labels=[0, 1], moment=Moment(0, 9, 0, 3))
    scheme.after_batch(step)
    scheme.at(Moment(1, 9, 0, 3))
    torch.testing.assert_close(
        scheme.probabilities(step.batch, Z.softmax(-1)), F.one_hot(torch.tensor([0, 1]), 3).float()
    )


def test_what_was_said_survives_a_checkpoint(step_of):
    scheme = after_an_epoch(step_of, Z)
    scheme.after_batch(step_of({"student": Z}, ids=[1, 2], moment=Moment(1, 2, 1, 2)))
    other = Progressive()
    other.load_state_dict(scheme.state_dict())
    for each in (scheme, other):
        each.at(Moment(2, 3, 2, 3))
    batch = step_of({"student": Z}, ids=[2, 7]).batch
    own = torch.full((2, 3), math.nan)
    first, second = (each.probabilities(batch, own) for each in (scheme, other))
    torch.testing.assert_close(first, second, equal_nan=True)
    torch.testing.assert_close(first[0], Z[1].softmax(-1))


def test_a_weight_is_a_share():
    with pytest.raises(UserError, match=r"scheme.weight: 2"):
        Progressive(2)
