import hashlib
import json
import re
from pathlib import Path

import pytest

import reports.html
from reports.html import FILES, PAGE, as_html
from reports.leaderboard import Leaderboard

VENDOR = PAGE / "vendor"
NASTY = "</script><script>document.title='taken'</script><!-- & \u2028 {{DATA}} '\""


def data_of(page):
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])


@pytest.fixture
def page(tmp_path, make_run):
    """A page of a run that has ended and of one that failed, both with words that could end a script."""
    metrics = "step,train/loss\n" + "".join(f"{step},0.5\n" for step in range(1000))
    make_run(tmp_path / "0", ["student=bilstm", f"data.text={NASTY}", "seed=1"], 0.6, metrics=metrics)
    (make_run(tmp_path / "1", ["student=cnn_lstm"]) / "failed.txt").write_text(NASTY, encoding="utf-8")
    return as_html(Leaderboard([tmp_path]))


def test_nothing_in_the_data_can_end_their_script(page):
    assert page.count("</script>") == 3
    runs = data_of(page)["runs"]
    assert runs[0]["choices"]["data.text"] == NASTY
    assert runs[1]["reason"] == " ".join(NASTY.split())


def test_the_page_holds_all_it_needs(page):
    assert not re.findall(
        r"<(?:script|img|iframe)[^>]+src=|<link[^>]+href=(?!\"data:)|@import|url\(", page.split("<script", 1)[0]
    )
    assert "default-src 'none'" in page
    assert "{{SCRIPT}}" not in page


def test_the_page_carries_the_licences_of_its_libraries(page):
    for said in (
        "Apache License 2.0",
        "Copyright (c) 2017, Baidu Inc.",
        "Tanner Linsley",
        "Microsoft Corporation",
        "d3",
    ):
        assert said in page


def test_curves_are_thinned_and_configs_told_once(page):
    data = data_of(page)
    assert len(data["runs"][0]["curves"]["train/loss"][0]) <= 200
    assert data["runs"][0]["changed"] == {}
    assert set(data["runs"][1]["changed"]) == {"student._target_"}


def test_thirty_runs_with_long_curves_are_below_one_and_a_half_megabytes(tmp_path, make_run):
    header = "step," + ",".join(f"figure{number}" for number in range(10)) + "\n"
    metrics = header + "".join(f"{step}" + ",0.1234567" * 10 + "\n" for step in range(0, 25_000, 25))
    for seed in range(30):
        make_run(tmp_path / str(seed), [f"seed={seed}"], 0.6, metrics=metrics)
    assert len(as_html(Leaderboard([tmp_path])).encode()) < 1_500_000


def test_the_libraries_are_those_that_were_built():
    sums = [line.split() for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    assert [name for _, name in sums] == ["echarts.js", "table-core.js"]
    for expected, name in sums:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == expected, name


def test_the_licences_name_the_versions_that_are_pinned():
    pins, said = (
        json.loads((VENDOR / "package.json").read_text())["devDependencies"],
        (VENDOR / "LICENSES.txt").read_text(),
    )
    assert f"Apache ECharts {pins['echarts']} " in said
    assert f"TanStack Table {pins['@tanstack/table-core']} " in said
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", pin) for pin in pins.values())


def test_every_file_of_the_page_is_in_it_and_in_the_package():
    named = {name for names in FILES.values() for name in names} | {"page.html"}
    there = {path.relative_to(PAGE).as_posix() for path in PAGE.rglob("*") if path.suffix in (".js", ".css", ".html")}
    assert {name for name in there if not name.endswith(".entry.js")} | {"vendor/LICENSES.txt"} == named
    assert PAGE.parent == Path(reports.html.__file__).parent
    pyproject = (PAGE.parent.parent / "pyproject.toml").read_text()
    assert 'reports = ["page/*.*", "page/vendor/*.*"]' in pyproject


def test_our_own_files_are_short():
    for path in PAGE.glob("*.*"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
