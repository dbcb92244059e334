"""The chart, by mouse and by keys."""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.reports.page.browsing import IN_A_BROWSER, choose, found, one, rows, until

pytestmark = IN_A_BROWSER


def test_a_point_tells_its_details_under_the_mouse(page):
    point = one(page, "#chart path[transform][fill='#2f6db3'], #chart path[fill='#2f6db3']")
    ActionChains(page).move_to_element(point).perform()
    until(lambda: found(page, ".tip") and "95 % interval" in one(page, ".tip").text)
    assert "milliseconds a text, batch 1" in one(page, ".tip").text


def test_keys_go_through_the_points_and_choose(page):
    one(page, "#chart").send_keys(Keys.ARROW_RIGHT)
    said = one(page, "#chart-point").get_attribute("textContent")
    one(page, "#chart").send_keys(Keys.ARROW_RIGHT)
    assert one(page, "#chart-point").get_attribute("textContent") != said
    until(lambda: found(page, ".tip") and one(page, ".tip").is_displayed())
    while "runs 2" not in one(page, "#chart-point").get_attribute("textContent"):
        one(page, "#chart").send_keys(Keys.ARROW_RIGHT)
    one(page, "#chart").send_keys(Keys.ENTER)
    assert one(page, "#bar-text").text == "2 runs chosen"


@pytest.mark.parametrize("axis", ["latency_32", "megabytes", "parameters"])
def test_the_axis_can_be_chosen(page, axis):
    choose(page, "#x", axis)
    title = one(page, f"#x option[value={axis}]").text
    assert f"against {title}" in one(page, "#chart").get_attribute("aria-label")
    assert f"{title} (log)" in one(page, "#chart").text


def test_the_front_holds_what_nothing_beats(page):
    one(page, "details summary").click()
    assert [row[:2] for row in rows(page, "#front tbody tr")] == [
        ["bilstm · relation", "72.5"],
        ["bert_small · relation", "76.5"],
        ["teacher minilm", "80.0"],
    ]
    one(page, "#teachers").click()
    assert len(rows(page, "#front tbody tr")) == 2


def test_marks_differ_in_shape_and_can_stand_for_another_choice(page):
    choose(page, "#colour", "kd")
    items = [item.text for item in found(page, "#legend li")]
    assert items[:2] == ["relation", "response"]
    shapes = [path.get_attribute("d") for path in found(page, "#legend path")]
    assert len(set(shapes[:2])) == 2
