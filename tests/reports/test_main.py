import json
import os
import subprocess
import sys

import pytest

from reports.__main__ import main


def test_the_page_is_written(tmp_path, make_run, monkeypatch, capsys):
    make_run(tmp_path / "0", [], 0.6)
    make_run(tmp_path / "1", [])
    monkeypatch.chdir(tmp_path)
    main(["leaderboard", "."])
    assert capsys.readouterr().out == "leaderboard.html: 1 runs, 1 configurations, 1 failed, pruned or unfinished\n"
    assert (tmp_path / "leaderboard.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_other_formats_go_to_the_terminal_or_a_file(tmp_path, make_run, capsys):
    make_run(tmp_path / "0", [], 0.6)
    main(["leaderboard", str(tmp_path), "--format", "json"])
    assert json.loads(capsys.readouterr().out)[0]["score"] == 0.6
    main(["leaderboard", str(tmp_path), "--out", str(tmp_path / "rows.csv")])
    assert (tmp_path / "rows.csv").read_text().startswith("comparison,state,")


def test_show_and_compare_print(tmp_path, make_run, capsys):
    run = str(make_run(tmp_path / "0", [], 0.6))
    main(["show", run])
    main(["compare", run, run])
    assert "The configs are the same." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("leaderboard EMPTY", "no runs"),
        ("leaderboard nowhere", "nowhere: no such folder"),
        ("leaderboard RUN --out nowhere/page.html", "nowhere/page.html"),
        ("leaderboard RUN --watch --format csv", "--watch serves the page"),
        ("leaderboard EMPTY --watch", "no runs"),
        ("leaderboard RUN --watch --port 99999", "99999 is no port"),
        ("leaderboard RUN --watch --port=-1", "-1 is no port"),
        ("show EMPTY", "no run folder"),
        ("compare RUN nowhere", "nowhere: no such folder"),
        ("summary nowhere", "nowhere: no such folder"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, make_run, capsys, words, said):
    (tmp_path / "empty").mkdir()
    places = {"EMPTY": str(tmp_path / "empty"), "RUN": str(make_run(tmp_path / "0", [], 0.6))}
    with pytest.raises(SystemExit) as ended:
        main([places.get(word, word) for word in words.split()])
    error = capsys.readouterr().err.splitlines()[-1]
    assert ended.value.code == 2
    assert "error: " in error
    assert said in error


def test_a_name_that_is_no_text_can_be_written_and_printed(tmp_path, make_run):
    make_run(tmp_path / "0", [], 0.6).rename(os.fsdecode(bytes(tmp_path / "0") + b"\xff"))
    main(["leaderboard", str(tmp_path), "--out", str(tmp_path / "rows.csv")])
    assert "0\\udcff" in (tmp_path / "rows.csv").read_text()
    assert "0\\udcff" in printed("leaderboard", tmp_path, "--format", "csv").stdout


def test_a_reader_that_has_seen_enough_is_no_mistake(tmp_path, make_run):
    make_run(tmp_path / "0", [], 0.6)
    command = [sys.executable, "-m", "reports", "leaderboard", str(tmp_path), "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()  # before anything is written
        assert process.stderr.read() == ""


def printed(*words):
    return subprocess.run(
        [sys.executable, "-m", "reports", *map(str, words)], capture_output=True, text=True, check=True
    )
