"""The table and its filters."""

import re

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.reports.page.browsing import IN_A_BROWSER, choose, column, found, one, open_page, rows, show

pytestmark = IN_A_BROWSER


def test_the_best_configuration_is_first_with_its_spread_and_interval(page):
    first = rows(page)[0]
    assert first[1:5] == ["bert_small", "76.5 ± 0.7", "relation", "▸ 2 runs"]
    assert first[5] == "+16.5 ± 0.7\n[+10.1, +22.9]"
    assert len(rows(page)) == 6
    assert one(page, "#counts").text == "13 runs · 7 configurations · 1 failed · 1 unfinished"


def test_columns_sort(page):
    one(page, "[data-sort=latency_1]").click()
    assert column(page, 1)[0] == "bilstm"
    assert one(page, "[data-sort=latency_1]").find_element(By.XPATH, "..").get_attribute("aria-sort") == "ascending"
    one(page, "[data-sort=latency_1]").click()
    assert column(page, 1)[0] == "bert_small"
    one(page, "[data-sort=student]").click()
    assert column(page, 1) == sorted(column(page, 1))


def test_choices_filter_table_and_chart(page):
    choose(page, "[data-filter=student]", "bilstm")
    assert set(column(page, 1)) == {"bilstm"}
    assert one(page, "#shown").text == "2 of 6 configurations"
    assert one(page, "#chart").get_attribute("aria-label").startswith("2 configurations")
    choose(page, "[data-filter=kd]", "response")
    assert len(rows(page)) == 1
    one(page, "#reset").click()
    assert len(rows(page)) == 6


def test_words_search(page):
    one(page, "#search").send_keys("kd=relation cnn")
    assert [[row[1], row[3]] for row in rows(page)] == [["cnn_lstm", "relation"]]
    one(page, "#search").send_keys("nothing of the kind")
    assert rows(page) == [["Nothing passes the filters."]]


def test_the_runs_of_a_group_lie_behind_it(page):
    one(page, ".open").click()
    assert one(page, ".open").get_attribute("aria-expanded") == "true"
    assert [row[1:5] for row in rows(page)[1:3]] == [
        ["sweep/7", "77.0", "", "seed 2"],
        ["sweep/6", "76.0", "", "seed 1"],
    ]


def test_other_data_and_metrics_stand_apart(page):
    names = [option.text for option in Select(one(page, "#comparison")).options]
    assert names == ["films, accuracy", "other, f1"]
    choose(page, "#comparison", "other, f1")
    assert [row[2] for row in rows(page)] == ["90.0"]


def test_failed_and_unfinished_runs_are_told(page):
    failed, unfinished = rows(page, "#unranked tbody tr")
    assert failed[1:] == ["sweep/12", "✕ failed", "one layer, so no exit", "scheme=self seed=1"]
    assert unfinished[1:3] == ["sweep/13", "… unfinished"]


def test_an_interval_that_holds_zero_is_grey_and_crosses_it(browser, tmp_path, make_run):
    for seed, baseline in enumerate((0.5, 0.79)):
        make_run(tmp_path / str(seed), [f"seed={seed}"], 0.8, baseline)
        make_run(tmp_path / f"sure{seed}", ["student=sure", f"seed={seed}"], 0.9 + seed / 1000, 0.5)
    open_page(browser, tmp_path)
    sure, unsure = found(browser, "#ranking .gain path:nth-of-type(2)")
    assert (sure.get_attribute("stroke"), unsure.get_attribute("stroke")) == ("#1c6b35", "#596168")
    start, end, arrows = re.fullmatch(r"M([\d.]+) 8H([\d.]+)(.*)", unsure.get_attribute("d")).groups()
    assert float(start) < 32 < float(end)
    assert arrows.count("M") == 2


def test_times_and_fewer_seeds_are_told(browser, tmp_path, make_run):
    for number, (seed, baseline) in enumerate([(1, 0.5), (2, 0.5), (3, None)]):
        make_run(tmp_path / str(number), [f"seed={seed}"], 0.6 + number / 100, baseline, 2.0 + number)
    (make_run(tmp_path / "3", []) / "failed.txt").write_text("pruned: others did better")
    (tmp_path / "3" / "overrides.yaml").unlink()
    open_page(browser, tmp_path)
    (row,) = rows(browser)
    assert "3.00 ± 1.00" in row
    assert "(n=2)" in row[4]
    assert rows(browser, "#unranked tbody tr")[0][2:] == ["\N{EN DASH} pruned", "others did better", "not known"]
    found(browser, "#unranked input")[0].click()
    assert "not known" in one(browser, "#commands").text
    assert not found(browser, "#commands button")


def test_on_a_phone_the_row_stays_named(page, file):
    show(page, file, 390, 800)
    page.execute_script("document.querySelector('#ranking').parentElement.scrollLeft = 400")
    name = one(page, "#ranking tbody th")
    assert 0 <= name.rect["x"] < 100
    assert "rgba(0, 0, 0, 0)" not in name.value_of_css_property("background-color")
