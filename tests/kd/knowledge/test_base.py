from functools import partial

import pytest

from kd.knowledge import pairing
from kd.knowledge.base import Knowledge
from kd.knowledge.distances import mse
from kd.knowledge.feature import HiddenStates
from kd.moment import Moment
from kd.schedule import Linear
from models.output import LOGITS
from potstill.errors import UserError


class Nothing(Knowledge):
    """A term that costs nothing."""

    def forward(self, learner, teacher, batch):
        return learner.logits.sum() * 0


def test_logits_are_what_is_read_where_a_term_does_not_say(make_spec):
    assert Nothing().requires(make_spec(), make_spec()) == (frozenset({LOGITS}), frozenset({LOGITS}))


def test_a_weight_may_follow_a_schedule():
    term = Nothing(weight=Linear(start=4.0, end=0.0))
    weights = [term.weight]
    for update in range(3):
        term.at(Moment(update, 3))
        weights.append(term.weight)
    assert weights == [4, 4, 2, 0]
    assert term.moves() == "weight 4 to 0 (linear, by step)"
    assert Nothing(weight=3.0).moves() == ""


@pytest.mark.parametrize("weight", [-1, "abc", True])
def test_what_is_no_weight(weight):
    with pytest.raises(UserError, match=r"kd.terms: weight .* is not a number from 0 on"):
        Nothing(weight=weight)


def test_a_pairing_that_the_depths_do_not_allow_says_so(make_spec):
    term = HiddenStates(partial(pairing.last, count=3), mse)
    with pytest.raises(UserError, match="pairing: the last 3 layers are asked for, but there are 2"):
        term.fits(make_spec(), make_spec())
