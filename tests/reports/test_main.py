import json

import pytest

from reports.__main__ import main


def test_the_page_is_written(tmp_path, make_run, monkeypatch, capsys):
    make_run(tmp_path / "0", [], 0.6)
    monkeypatch.chdir(tmp_path)
    main(["leaderboard", "."])
    assert capsys.readouterr().out == "leaderboard.html: 1 runs, 1 configurations, 0 failed or unfinished\n"
    assert (tmp_path / "leaderboard.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_other_formats_go_to_the_terminal_or_a_file(tmp_path, make_run, capsys):
    make_run(tmp_path / "0", [], 0.6)
    main(["leaderboard", str(tmp_path), "--format", "json"])
    assert json.loads(capsys.readouterr().out)[0]["score"] == 0.6
    main(["leaderboard", str(tmp_path), "--format", "csv", "--out", str(tmp_path / "rows.csv")])
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
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
