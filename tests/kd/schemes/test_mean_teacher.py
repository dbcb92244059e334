import math

import pytest
import torch

from kd.moment import Moment
from kd.schemes.mean_teacher import MeanTeacher
from potstill.errors import UserError


def test_at_first_the_average_is_the_mean_of_all_weights_so_far(network_of, weight_of):
    """Weights 1, 2, 3, 4, 5, the first being where it starts: 1, 1.5, 2, 2.5, 3."""
    scheme, average = MeanTeacher(decay=0.999), network_of(1.0)
    seen = []
    for update, weight in enumerate((2.0, 3.0, 4.0, 5.0), start=1):
        scheme.after_update({"student": network_of(weight)}, {"average": average}, Moment(update, 10))
        seen.append(weight_of(average))
    assert seen == pytest.approx([1.5, 2, 2.5, 3])


def test_later_it_keeps_what_decay_says(network_of, weight_of):
    average = network_of(1.0)
    MeanTeacher(decay=0.9).after_update({"student": network_of(2.0)}, {"average": average}, Moment(100, 200))
    assert weight_of(average) == pytest.approx(1.1)


def test_the_student_learns_from_the_average_which_is_saved(make_spec, step_of, parts_of):
    scheme = MeanTeacher(weight=2.0, ramp=0.5)
    specs = {"student": make_spec(classes=2), "average": make_spec(classes=2)}
    said = {"student": torch.zeros(1, 2), "average": torch.tensor([[math.log(3), 0.0]])}
    assert scheme.copies() == {"average": "student"}
    assert scheme.outcome == "average"
    for update, ramp in ((0, 0.0067379), (25, 0.286505), (50, 1.0)):
        parts = parts_of(scheme, specs, step_of(said, labels=[0], moment=Moment(update, 100)))
        assert parts["kd/kl/student<-average"].item() == pytest.approx(2 * ramp * 0.130812, abs=1e-5)
        assert parts["label_loss/student"].item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("options", [{"decay": 1.5}, {"ramp": -1}])
def test_shares(options):
    with pytest.raises(UserError, match=f"scheme.{next(iter(options))}"):
        MeanTeacher(**options)
