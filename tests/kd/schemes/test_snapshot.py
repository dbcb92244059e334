import math

import pytest
import torch

from kd.moment import Moment
from kd.schemes.snapshot import Snapshot
from potstill.errors import UserError

SAID = {"student": torch.zeros(1, 2), "snapshot": torch.tensor([[math.log(3), 0.0]])}


def test_each_cycle_is_a_half_cosine():
    scheme = Snapshot(cycles=2, warmup=0.0)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = scheme.schedule(optimizer, 8)
    rates = []
    for _ in range(8):
        rates += schedule.get_last_lr()
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.1, 0.085355, 0.05, 0.014645] * 2, abs=1e-6)


def test_only_the_first_cycle_warms_up():
    scheme = Snapshot(cycles=2, warmup=0.5)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = scheme.schedule(optimizer, 8)
    assert schedule.get_last_lr() == [0.0]
    rates = []
    for _ in range(4):
        optimizer.step()
        schedule.step()
        rates += schedule.get_last_lr()
    assert rates[0] == pytest.approx(0.85355 / 2, abs=1e-5)
    assert rates[-1] == 1


def test_the_first_cycle_has_no_teacher(make_spec, step_of, parts_of):
    scheme, specs = Snapshot(cycles=2, label_weight=1.5), dict.fromkeys(SAID, make_spec(classes=2))
    first = parts_of(scheme, specs, step_of(SAID, labels=[0], moment=Moment(4, 10)))
    assert {name: part.item() for name, part in first.items()} == {"label_loss/student": pytest.approx(math.log(2))}
    second = parts_of(scheme, specs, step_of(SAID, labels=[0], moment=Moment(5, 10)))
    assert second["label_loss/student"].item() == pytest.approx(1.5 * math.log(2))
    assert second["kd/kl/student<-snapshot"].item() == pytest.approx(0.130812, abs=1e-6)


def test_the_snapshot_is_the_student_at_the_end_of_the_last_cycle(network_of, weight_of):
    scheme, copies = Snapshot(cycles=3), {"snapshot": network_of(0.0)}
    seen = []
    for update in range(1, 10):
        scheme.after_update({"student": network_of(update)}, copies, Moment(update, 9))
        seen.append(weight_of(copies["snapshot"]))
    assert seen == [0, 0, 3, 3, 3, 6, 6, 6, 9]


def test_one_cycle_is_none():
    with pytest.raises(UserError, match=r"scheme.cycles: 1"):
        Snapshot(cycles=1)
