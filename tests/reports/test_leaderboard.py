import csv
import io
import json

import pytest

from potstill.errors import UserError
from reports.leaderboard import Leaderboard, as_csv, as_json, as_markdown, short_names


@pytest.fixture
def sweep(tmp_path, make_run):
    """Two configurations of two seeds, one on other data, a failed and an unfinished run."""
    runs = [("bilstm", 1, 0.6), ("bilstm", 2, 0.7), ("cnn_lstm", 1, 0.8), ("cnn_lstm", 2, 0.82)]
    for number, (student, seed, score) in enumerate(runs):
        make_run(tmp_path / "sweep" / str(number), [f"student={student}", f"seed={seed}"], score)
    make_run(tmp_path / "sweep" / "4", ["data=other"], 0.9, metric="f1")
    (make_run(tmp_path / "sweep" / "5", ["scheme=self"]) / "failed.txt").write_text("no exits | none")
    make_run(tmp_path / "sweep" / "6", ["scheme=mutual"])
    return tmp_path / "sweep"


def test_markdown_has_a_table_for_what_can_be_compared(sweep):
    films, other, *rest = as_markdown(Leaderboard([sweep])).split("## ")[1:]
    header, _, best, second = [line for line in films.splitlines() if line.startswith("|")]
    assert films.startswith("films, accuracy\n")
    assert [cell.strip() for cell in header.split("|")[1:5]] == ["student", "runs", "score", "gain"]
    assert best.split("|")[1].strip() == "cnn_lstm"
    assert [cell.strip() for cell in second.split("|")[2:5]] == ["2", "65.0 ± 7.1", "15.0 ± 7.1 [-48.5, 78.5]"]
    assert other.startswith("other, f1\n")
    assert f"- {sweep}/5: failed: no exits | none\n- {sweep}/6: unfinished\n" in rest[0]


def test_csv_and_json_have_the_same_rows(sweep):
    board = Leaderboard([sweep])
    of_csv, of_json = list(csv.DictReader(io.StringIO(as_csv(board)))), json.loads(as_json(board))
    assert [row["state"] for row in of_json] == ["done"] * 3 + ["failed", "unfinished"]
    for row, other in zip(of_csv, of_json, strict=True):
        assert {key: value for key, value in row.items() if value} == {
            key: ";".join(value) if isinstance(value, list) else str(value)
            for key, value in other.items()
            if value is not None
        }
    assert of_json[0]["student"] == "cnn_lstm"
    assert of_json[0]["score"] == pytest.approx(0.81)
    assert of_json[0]["seeds"] == ["1", "2"]
    assert of_json[0]["folders"] == [f"{sweep}/2", f"{sweep}/3"]
    assert of_json[0]["gain_count"] == 2
    assert of_json[0]["gain_low"] < of_json[0]["gain"] < of_json[0]["gain_high"]
    assert of_json[3]["reason"] == "no exits | none"


def test_settings_of_single_runs_are_choices_of_all(tmp_path, make_run):
    make_run(tmp_path / "0", ["data.batch_size=32"], 0.6)
    make_run(tmp_path / "1", ["kd=relation"], 0.6)
    rows = json.loads(as_json(Leaderboard([tmp_path])))
    assert [row["data.batch_size"] for row in rows] == ["32", "32"]


def test_rows_that_would_look_alike_tell_what_differs(tmp_path, make_run):
    make_run(tmp_path / "0", ["seed=1"], 0.6)
    make_run(tmp_path / "1", ["seed=2"], 0.6, config={"compile": False})  # a key that came later
    rows = json.loads(as_json(Leaderboard([tmp_path])))
    assert sorted(row["compile"] for row in rows) == ["default", "false"]


def test_no_runs_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no runs"):
        Leaderboard([tmp_path])


def test_failed_runs_alone_are_a_leaderboard_too(tmp_path, make_run):
    make_run(tmp_path / "0", [])
    assert "unfinished" in as_markdown(Leaderboard([tmp_path]))


def test_short_names_tell_runs_apart(tmp_path):
    folders = [tmp_path / "a" / "sweep" / "0", tmp_path / "b" / "sweep" / "0"]
    assert list(short_names(folders).values()) == ["a/sweep/0", "b/sweep/0"]
    assert list(short_names(folders[:1]).values()) == ["sweep/0"]
