import pytest

from kd.moment import Moment


@pytest.mark.parametrize(("update", "expected"), [(0, 0.0067379), (40, 0.286505), (80, 1.0), (300, 1.0)])
def test_ramp(update, expected):
    assert Moment(update, 320).ramp(0.25) == pytest.approx(expected, abs=1e-6)


def test_no_ramp_is_at_its_end():
    assert Moment(0, 320).ramp(0.0) == 1
