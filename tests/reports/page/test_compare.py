"""The chosen runs side by side."""

from tests.reports.page.browsing import IN_A_BROWSER, choose, found, one, open_page, rows, tick, until

pytestmark = IN_A_BROWSER


def test_two_runs_are_compared(page):
    one(page, ".open").click()
    tick(page, 1, 2)
    figures = {row[0]: row[1:] for row in rows(page, "#figures tbody tr")}
    assert figures["score"] == ["76.0", "77.0", "+1.0"]
    assert rows(page, "#changes tbody tr") == [["seed", "1", "2"]]
    assert [item.text.split(" · ")[0] for item in found(page, "#curve-legend li")] == ["sweep/6", "sweep/7"]
    assert found(page, "#commands code")[0].text == "python train.py student=bert_small kd=relation seed=1"
    choose(page, "#curve", "train/loss")
    assert one(page, "#curves").get_attribute("aria-label").startswith("train/loss by step of 2 runs")


def test_a_command_is_copied(page):
    tick(page, 0)
    page.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    one(page, "#commands button").click()
    until(lambda: one(page, "#commands button").text == "Copied")
    assert "bert_small" in page.execute_async_script("navigator.clipboard.readText().then(arguments[0])")


def test_scores_of_other_metrics_are_not_put_side_by_side_without_a_word(page):
    tick(page, 0)
    assert not one(page, "#figures-hint").is_displayed()
    choose(page, "#comparison", "other, f1")
    tick(page, 0)
    assert "difference says nothing" in one(page, "#figures-hint").text
    assert {"films, accuracy", "other, f1"} <= set(rows(page, "#figures tbody tr")[1])


def test_a_curve_says_how_many_of_its_points_are_drawn(browser, tmp_path, make_run):
    metrics = "step,train/loss\n" + "".join(f"{step},0.5\n" for step in range(1000))
    make_run(tmp_path / "0", [], 0.6, metrics=metrics)
    open_page(browser, tmp_path)
    tick(browser, 0)
    browser.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert rows(browser, "#curve-table tbody tr")[0][1].endswith(" of 1000")
