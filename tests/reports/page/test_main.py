"""The page as a whole: served, by keyboard alone, light and dark, small and large."""

import contextlib
import re
import threading

import pytest
from selenium.webdriver.common.keys import Keys

from reports.watch import HOST, Watched, server_of
from tests.reports.page.browsing import (
    CURVE,
    IN_A_BROWSER,
    STUDENTS,
    choose,
    column,
    complaints,
    found,
    one,
    open_page,
    rows,
    show,
    tick,
    until,
)

pytestmark = IN_A_BROWSER


def served(folder):
    """Serves the page of a folder as long as it is needed; gives its address."""
    with server_of(Watched([folder]), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{HOST}:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_served_page_follows_the_folders_and_keeps_the_view(browser, tmp_path, make_run):
    for number, student in enumerate(STUDENTS):
        make_run(tmp_path / str(number), [f"student={student}"], 0.6)
    with server_of(Watched([tmp_path]), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        show(browser, f"http://{HOST}:{server.server_port}/")
        choose(browser, "[data-filter=student]", "bilstm")
        make_run(tmp_path / "3", ["student=bilstm", "kd=relation"], 0.7)
        until(lambda: len(rows(browser)) == 2)
        assert {row[1] for row in rows(browser)} == {"bilstm"}
        server.shutdown()
        thread.join()
    until(lambda: "command has ended" in one(browser, "#live").text)


HELD = ["[data-filter=student]", "[data-sort=gain]", ".open", "#ranking tbody input", "#commands button", "#chart"]


def test_newer_data_leave_the_keyboard_where_it_is(browser, tmp_path, make_run):
    for number, student in enumerate([*STUDENTS, "bilstm"]):
        make_run(tmp_path / str(number), [f"student={student}", f"seed={number}"], 0.6)
    with contextlib.contextmanager(served)(tmp_path) as address:
        show(browser, address)
        tick(browser, 0)
        for number, selector in enumerate(HELD):
            browser.execute_script("arguments[0].focus()", one(browser, selector))
            before = browser.execute_script(MARK)
            if selector == "#chart":
                one(browser, "#chart").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
            said = one(browser, "#chart-point").get_attribute("textContent")
            make_run(tmp_path / f"new{number}", [f"student=new{number}"], 0.5)
            until(lambda wanted=f"{number + 5} runs": one(browser, "#counts").text.startswith(wanted))
            assert browser.execute_script(MARK) == before, selector
        assert one(browser, "#chart-point").get_attribute("textContent") == said != ""
        assert one(browser, ".tip").is_displayed()


MARK = "const { id, dataset, tagName } = document.activeElement; return JSON.stringify([tagName, id, dataset])"


def test_a_button_that_hides_itself_hands_the_keyboard_on(page):
    tick(page, 0)
    one(page, "#clear").click()
    assert page.switch_to.active_element.get_attribute("id") == "chosen-title"


def test_all_works_by_keyboard_alone(page):
    button = one(page, "[data-sort=student]")
    page.execute_script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    assert page.switch_to.active_element.get_attribute("data-sort") == "student"
    assert column(page, 1)[0] == "bert_small"
    box = found(page, "#ranking tbody input")[0]
    box.send_keys(Keys.SPACE)
    assert page.switch_to.active_element.get_attribute("aria-label").startswith("choose student=bert_small")
    assert one(page, "#bar-text").text == "2 runs chosen"
    one(page, ".open").send_keys(Keys.ENTER)
    assert page.switch_to.active_element.get_attribute("aria-expanded") == "true"


NAMELESS = """
const named = (node) => node.textContent.trim() || node.getAttribute("aria-label") || node.labels?.length;
return [...document.querySelectorAll("button, input, select, a, summary, [role=region], [role=img], [tabindex='0']")]
  .filter((node) => !named(node)).map((node) => node.outerHTML);
"""


def test_everything_that_acts_has_a_name(page):
    tick(page, 0)
    assert page.execute_script(NAMELESS) == []


CONTRAST = """
const part = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const light = (colour) => {
  const [r, g, b] = colour.match(/[0-9.]+/g).map((value) => part(value / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (node) => {
  const colour = getComputedStyle(node).backgroundColor;
  return colour.includes("rgba(0, 0, 0, 0)") && node.parentElement ? ground(node.parentElement) : colour;
};
const ratio = (node) => {
  const [a, b] = [light(getComputedStyle(node).color), light(ground(node))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
};
const kinds = "p, th, td, h1, h2, h3, label, li, small, button, summary, code, a.button, .state";
return [...document.querySelectorAll(kinds)]
  .filter((node) => node.offsetParent && node.innerText.trim() && ratio(node) < 4.5)
  .map((node) => [ratio(node), node.outerHTML.slice(0, 80)]);
"""  # WCAG 2.2, 1.4.3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_have_contrast(page, file, scheme):
    show(page, file, scheme=scheme)
    tick(page, 0)
    ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (min(map(int, re.findall(r"\d+", ground))) > 128) == (scheme == "light")
    assert page.execute_script(CONTRAST) == []


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_phone_need_not_scroll_sideways(page, file, width):
    show(page, file, width, 800)
    tick(page, 0)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width


def test_nothing_is_asked_of_any_network(page):
    assert page.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)") == []


def test_a_page_of_one_run_without_teacher_and_baseline(browser, tmp_path, make_run):
    lone = dict.fromkeys(["teacher", "retention", "compression", "speedup"])
    make_run(tmp_path / "0", [], 0.6, baseline=None, **lone)
    open_page(browser, tmp_path)
    assert rows(browser)[0][1:6] == ["bilstm", "60.0", "seed 1", "", ""]
    assert one(browser, "#chart").get_attribute("aria-label").startswith("1 configurations")
    assert complaints(browser) == []


def test_a_page_of_runs_none_of_which_has_ended(browser, tmp_path, make_run):
    make_run(tmp_path / "0", [], metrics=CURVE)
    open_page(browser, tmp_path)
    assert len(rows(browser, "#unranked tbody tr")) == 1
    one(browser, "#unranked input").click()
    assert one(browser, "#curve").get_property("value") == "train/loss"
    assert complaints(browser) == []


def test_a_thousand_runs_open_in_less_than_two_seconds(browser, tmp_path, make_run):
    for number in range(1000):
        student, seed = f"student{number // 4}", number % 4
        make_run(tmp_path / str(number), [f"student={student}", f"seed={seed}"], 0.5 + number / 4000, metrics=CURVE)
    open_page(browser, tmp_path)
    took = []
    for _ in range(3):
        browser.refresh()
        took.append(browser.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd"))
    assert min(took) < 2000, took  # milliseconds
    assert one(browser, "#more").text == "Show all 250 rows"
