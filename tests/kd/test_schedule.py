import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd.moment import Moment
from kd.schedule import Constant, Cosine, Linear, Piecewise, schedule_of
from potstill.errors import UserError

SHARES = st.floats(0, 1)


def steps(schedule, updates=5):
    return [schedule(Moment(update, updates)) for update in range(updates)]


def test_a_line():
    assert steps(Linear(start=4.0, end=0.0)) == [4, 3, 2, 1, 0]
    assert steps(Linear(start=0.0, end=8.0, begin=0.25, finish=0.75)) == [0, 0, 4, 8, 8]


def test_a_warm_up():
    assert steps(Linear(finish=0.5)) == [0, 0.5, 1, 1, 1]


def test_half_a_wave():
    assert steps(Cosine(start=1.0, end=0.0)) == pytest.approx(
        [1, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125), 0]
    )


def test_one_after_another():
    assert steps(Piecewise(values=[3.0, 2.0, 1.0], until=[0.5, 1 - 1e-9])) == [3, 3, 2, 2, 1]


def test_by_epoch_it_stays_within_one():
    schedule = Linear(start=0.0, end=1.0, by="epoch")
    moments = [Moment(update, 6, update // 2, 3) for update in range(6)]
    assert [schedule(moment) for moment in moments] == [0, 0, 0.5, 0.5, 1, 1]


def test_a_run_of_one_step_is_at_the_start():
    assert Linear(start=2.0, end=1.0)(Moment()) == 2


@given(SHARES, st.floats(0, 10), st.floats(0, 10))
def test_it_stays_between_its_ends(share, start, end):
    for kind in (Linear, Cosine):
        assert min(start, end) - 1e-9 <= kind(start=start, end=end).after(share) <= max(start, end) + 1e-9


def test_a_number_never_changes():
    assert steps(schedule_of(3, "weight")) == [3] * 5
    assert schedule_of(Constant(value=2.0), "weight") == Constant(value=2.0)


@pytest.mark.parametrize("value", ["abc", True, None, -1, math.nan, Linear(start=1.0, end=-1.0)])
def test_what_is_no_weight(value):
    with pytest.raises(UserError, match=r"kd.terms: weight .* is not a number from 0 on"):
        schedule_of(value, "kd.terms: weight")


@pytest.mark.parametrize("value", [0, Linear(start=1.0, end=0.0)])
def test_what_is_no_temperature(value):
    with pytest.raises(UserError, match=r"kd.terms: temperature .* is not above 0"):
        schedule_of(value, "kd.terms: temperature", zero=False)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(begin=0.5, finish=0.5),
        lambda: Piecewise(values=[1.0, 2.0], until=[]),
        lambda: Piecewise(values=[1.0, 2.0, 3.0], until=[0.5, 0.2]),
        lambda: Linear(by="hour"),
    ],
)
def test_what_is_no_schedule(make):
    with pytest.raises(UserError, match="schedule: "):
        make()


def test_for_a_reader():
    assert str(Linear(start=4.0, end=1.0)) == "4 to 1 (linear, by step)"
    assert str(Cosine(start=4.0, end=1.0, by="epoch")) == "4 to 1 (cosine, by epoch)"
    assert str(Linear(finish=0.1)) == "0 to 1 between 0% and 10% of the run (linear, by step)"
    assert str(Piecewise(values=[2.0, 1.0], until=[0.5])) == "2 until 50%, then 1 (by step)"
    assert str(Constant(value=0.5)) == "0.5"
