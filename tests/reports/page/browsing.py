"""What the tests of the page do in a real browser: headless Chromium through Selenium."""

import shutil
import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from reports.html import as_html
from reports.leaderboard import Leaderboard

DRIVER = shutil.which("chromedriver")
MISSING = "no chromedriver on PATH (Debian: apt-get install chromium chromium-driver)"
IN_A_BROWSER = [pytest.mark.slow, pytest.mark.skipif(DRIVER is None, reason=MISSING)]
CURVE = "step,train/loss,val/accuracy\n" + "".join(f"{step},{1 / step},0.{step}\n" for step in range(10, 60, 10))
STUDENTS = {"bilstm": (0.70, 2.0), "bert_small": (0.74, 5.0), "cnn_lstm": (0.66, 3.0)}


def complaints(browser):
    return [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]


def open_page(browser, folder):
    path = folder / "page.html"
    path.write_text(as_html(Leaderboard([folder])), encoding="utf-8")
    show(browser, f"file://{path}")


def show(browser, address, width=1280, height=900, scheme="light"):
    browser.get("about:blank")
    complaints(browser)  # of the page before
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    media = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    browser.get(address)
    found(browser, "#ranking tbody tr")


def found(browser, selector):
    return browser.find_elements(By.CSS_SELECTOR, selector)


def one(browser, selector):
    return browser.find_element(By.CSS_SELECTOR, selector)


def choose(browser, selector, value):
    Select(one(browser, selector)).select_by_value(value)


def rows(browser, selector="#ranking tbody tr"):
    """The texts of the cells, row by row."""
    cells = "[...row.cells].map((cell) => cell.innerText.trim())"
    return browser.execute_script(
        f"return [...document.querySelectorAll(arguments[0])].map((row) => {cells})", selector
    )


def column(browser, number):
    return [row[number] for row in rows(browser)]


def tick(browser, *numbers):
    for number in numbers:
        found(browser, "#ranking tbody input")[number].click()


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.05)
