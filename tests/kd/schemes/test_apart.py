import math

import pytest
import torch

from kd.moment import Moment
from kd.schemes.apart import CodistillationApart
from potstill.errors import UserError

SAID = {
    "student": torch.zeros(1, 2),
    "b": torch.tensor([[math.log(3), 0.0]]),
    "c": torch.zeros(1, 2),
}


@pytest.fixture
def specs(make_spec):
    return {name: make_spec(classes=2) for name in SAID}


def pair_of_runs(folder, **options):
    return (CodistillationApart(folder, one, [other], **options) for one, other in (("a", "b"), ("b", "a")))


def test_each_reads_what_the_other_wrote_last(network_of, weight_of, tmp_path):
    first, second = pair_of_runs(tmp_path, interval=2, burn_in=0.0)
    copies = {"a": network_of(0.0), "b": network_of(0.0)}
    seen = []
    for update in range(1, 7):
        first.after_update({"student": network_of(update)}, {"b": copies["b"]}, Moment(update, 10))
        second.after_update({"student": network_of(-update)}, {"a": copies["a"]}, Moment(update, 10))
        seen.append((weight_of(copies["a"]), weight_of(copies["b"])))
    assert seen == [(0, 0), (2, 0), (2, 0), (4, -2), (4, -2), (6, -4)]


def test_before_the_burn_in_is_over_nothing_is_written(network_of, tmp_path):
    first, _ = pair_of_runs(tmp_path, interval=1, burn_in=0.5)
    first.after_update({"student": network_of(1.0)}, {}, Moment(4, 10))
    assert not list(tmp_path.iterdir())


def test_who_was_not_heard_does_not_teach(specs, network_of, step_of, parts_of, tmp_path):
    scheme = CodistillationApart(tmp_path, "a", ["b", "c"], burn_in=0.0, interval=1)
    step = step_of(SAID, labels=[0])
    assert set(parts_of(scheme, specs, step)) == {"label_loss/student"}
    CodistillationApart(tmp_path, "b", ["a"])._write(network_of(1.0))
    scheme.after_update({"student": network_of(0.0)}, {"b": network_of(0.0)}, Moment(1, 10))
    assert parts_of(scheme, specs, step)["kd/kl/student<-others"].item() == pytest.approx(0.130812, abs=1e-6)
    other = CodistillationApart(tmp_path, "a", ["b", "c"])
    other.load_state_dict(scheme.state_dict())
    assert "kd/kl/student<-others" in parts_of(other, specs, step)


def test_several_that_were_heard_are_averaged(specs, network_of, step_of, parts_of, tmp_path):
    scheme = CodistillationApart(tmp_path, "a", ["b", "c"], burn_in=0.0, interval=1)
    for name in ("b", "c"):
        CodistillationApart(tmp_path, name, ["a"])._write(network_of(1.0))
    copies = {"b": network_of(0.0), "c": network_of(0.0)}
    scheme.after_update({"student": network_of(0.0)}, copies, Moment(1, 10))
    expected = 0.625 * math.log(0.625 / 0.5) + 0.375 * math.log(0.375 / 0.5)
    parts = parts_of(scheme, specs, step_of(SAID))
    assert parts["kd/kl/student<-others"].item() == pytest.approx(expected, abs=1e-6)


def test_another_architecture_is_named(network_of, tmp_path):
    first, second = pair_of_runs(tmp_path)
    second._write(torch.nn.Linear(3, 3))
    with pytest.raises(UserError, match=r"b.safetensors has weights of another architecture"):
        first.after_update({"student": network_of(0.0)}, {"b": network_of(0.0)}, Moment(1, 10))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a/b", "others": ["c"]}, "scheme.name: 'a/b' cannot be a network's name"),
        ({"name": "a", "others": ["a"]}, "must be a list of students of other runs"),
        ({"name": "a", "others": []}, "must be a list of students of other runs"),
        ({"name": "a", "others": "second"}, "must be a list of students of other runs"),
        ({"name": "a", "others": ["student"]}, "scheme.others: 'student' cannot be a network's name"),
        ({"name": "a", "others": ["b"], "burn_in": 1.5}, "scheme.burn_in"),
        ({"name": "a", "others": ["b"], "interval": 0}, "scheme.interval"),
    ],
)
def test_what_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        CodistillationApart("folder", **options)
