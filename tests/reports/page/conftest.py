"""A browser, and the page of a sweep in it."""

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from reports.html import as_html
from reports.leaderboard import Leaderboard
from tests.reports.page.browsing import CURVE, DRIVER, STUDENTS, complaints, show

FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,900")


@pytest.fixture(scope="session")
def browser():
    options = webdriver.ChromeOptions()
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, Service(DRIVER)) as driver:
        yield driver


@pytest.fixture(scope="session")
def sweep(tmp_path_factory, make_run):
    """Three students by two kinds of knowledge by two seeds; one job that failed, one that goes on; other data."""
    folder = tmp_path_factory.mktemp("sweeps") / "sweep"
    jobs = [(student, kd, seed) for student in STUDENTS for kd in ("response", "relation") for seed in (1, 2)]
    for number, (student, kd, seed) in enumerate(jobs):
        score, milliseconds = STUDENTS[student]
        score += seed / 100 + (0.01 if kd == "relation" else 0)
        overrides = [f"student={student}", f"kd={kd}", f"seed={seed}"]
        make_run(folder / str(number), overrides, score, 0.6, milliseconds, metrics=CURVE)
    (make_run(folder / "12", ["scheme=self", "seed=1"]) / "failed.txt").write_text("one layer, so no exit")
    make_run(folder / "13", ["scheme=mutual", "seed=1"], metrics=CURVE)
    make_run(folder / "14", ["data=other"], 0.9, metric="f1")
    return folder


@pytest.fixture(scope="session")
def file(sweep):
    path = sweep.parent / "page.html"
    path.write_text(as_html(Leaderboard([sweep])), encoding="utf-8")
    return f"file://{path}"


@pytest.fixture
def page(browser, file):
    """The page at its beginning, on a screen of usual size; the browser must not complain about it."""
    show(browser, file)
    yield browser
    assert complaints(browser) == []
