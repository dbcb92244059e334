"""What the address holds."""

from urllib.parse import quote

import pytest

from tests.reports.page.browsing import IN_A_BROWSER, choose, column, one, rows, show, tick

pytestmark = IN_A_BROWSER


def test_the_view_outlives_a_reload(page):
    choose(page, "[data-filter=student]", "bilstm")
    choose(page, "#x", "parameters")
    tick(page, 0)
    page.refresh()
    assert set(column(page, 1)) == {"bilstm"}
    assert one(page, "#x").get_property("value") == "parameters"
    assert one(page, "#bar-text").text == "2 runs chosen"


@pytest.mark.parametrize(
    "said", ['{"x":"latency_8"}', '{"chosen":5}', '{"filters":null}', '{"sort":null}', "null", "7"]
)
def test_a_link_that_makes_no_sense_opens_the_page_all_the_same(page, file, said):
    show(page, f"{file}#{quote(said)}")
    assert len(rows(page)) == 6
    assert one(page, "#x").get_property("value") == "latency_1"
