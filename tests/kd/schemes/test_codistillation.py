import math

import pytest
import torch

from kd.moment import Moment
from kd.schemes.codistillation import Codistillation
from potstill.errors import UserError

SAID = {
    "student": torch.zeros(1, 2),
    "peer": torch.zeros(1, 2),
    "stale_student": torch.zeros(1, 2),
    "stale_peer": torch.tensor([[math.log(3), 0.0]]),
}


@pytest.fixture
def specs(make_spec):
    return {name: make_spec(classes=2) for name in [*SAID, "third", "stale_third"]}


def test_before_the_end_of_the_burn_in_there_are_labels_alone(specs, step_of, parts_of):
    scheme = Codistillation(burn_in=0.5)
    early = parts_of(scheme, specs, step_of(SAID, labels=[0], moment=Moment(4, 10)))
    assert set(early) == {"label_loss/student", "label_loss/peer"}
    late = parts_of(scheme, specs, step_of(SAID, labels=[0], moment=Moment(5, 10)))
    assert late["kd/kl/student<-stale_peer"].item() == pytest.approx(0.130812, abs=1e-6)
    assert late["kd/kl/peer<-stale_student"].item() == pytest.approx(0, abs=1e-6)
    assert late["label_loss/student"].item() == pytest.approx(math.log(2))


def test_several_others_are_averaged_first(specs, step_of, parts_of):
    """The student's others say (3/4, 1/4) and (1/2, 1/2)."""
    scheme = Codistillation({"peer": object(), "third": object()}, burn_in=0.0)
    said = SAID | {"third": torch.zeros(1, 2), "stale_third": torch.zeros(1, 2)}
    parts = parts_of(scheme, specs, step_of(said))
    expected = 0.625 * math.log(0.625 / 0.5) + 0.375 * math.log(0.375 / 0.5)
    assert parts["kd/kl/student<-others"].item() == pytest.approx(expected, abs=1e-6)
    assert scheme.pairs(specs)[0].sources == ("stale_peer", "stale_third")


def test_weights_are_exchanged_at_the_end_of_the_burn_in_and_then_now_and_again(network_of, weight_of):
    scheme = Codistillation(interval=2, burn_in=0.3)
    copies = {"stale_student": network_of(0.0), "stale_peer": network_of(0.0)}
    seen = []
    for update in range(1, 11):
        networks = {"student": network_of(update), "peer": network_of(-update)}
        scheme.after_update(networks, copies, Moment(update, 10))
        seen.append(weight_of(copies["stale_student"]))
        assert weight_of(copies["stale_peer"]) == -seen[-1]
    assert seen == [0, 0, 3, 3, 5, 5, 7, 7, 9, 9]


@pytest.mark.parametrize(
    ("options", "message"), [({"interval": 0}, "scheme.interval: 0"), ({"burn_in": 1}, "scheme.burn_in: 1")]
)
def test_what_cannot_be(options, message):
    with pytest.raises(UserError, match=message):
        Codistillation(**options)
