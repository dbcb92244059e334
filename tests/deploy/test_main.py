"""The command line: rows in, rows out, and what is wrong with some."""

import csv
import io
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
from transformers import AutoTokenizer, BertConfig, BertForTokenClassification

from deploy.__main__ import main
from deploy.predict import WINDOW

ROOT = Path(__file__).parent.parent.parent


BROKEN = b"""id,text,label
1,a wonderful film,good
2,,bad
3,its plot is dull
4,caf\xe9,good
5,"an open quote,bad
6,swallowed,bad
7,"closed,bad
8,awful,bad
"""


@pytest.fixture
def predict(fine_tuned, tmp_path, capfd):
    """Runs the command in this process; gives exit code, output and error output."""

    def predict(*arguments):
        code = main(["predict", str(fine_tuned), *map(str, arguments)])
        return code, *capfd.readouterr()

    return predict


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "in.csv"
    path.write_bytes(BROKEN)
    return path


def test_a_text_is_answered_in_a_line(predict):
    code, out, err = predict("a wonderful film", "dull")
    (one, other) = (line.split("\t") for line in out.splitlines())
    assert (code, err) == (0, "")
    assert (one[0], one[2], other[0], other[2]) == ("good", "a wonderful film", "bad", "dull")
    assert 0.5 < float(one[1]) <= 1


def test_every_probability_of_a_text_is_shown(predict):
    _, out, _ = predict("dull", "--every")
    numbers = dict(part.split("=") for part in out.strip().split("\t")[3:])
    assert list(numbers) == ["bad", "good"]
    assert sum(map(float, numbers.values())) == pytest.approx(1)


def test_malformed_rows_stand_in_their_places_and_are_named(predict, broken, tmp_path):
    code, out, err = predict("--file", broken, "--out", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "text", "label", "prediction", "probability", "error"]
    assert [row["id"] for row in rows] == ["1", "2", "", "", "", "8"]
    assert [bool(row["prediction"]) for row in rows] == [not row["error"] for row in rows]
    assert [row["error"].removeprefix(str(broken)) for row in rows] == [
        "",
        ":3: column 'text' is empty",
        ":4: 2 fields, where the header has 3",
        ":5: not UTF-8 text (byte 0xe9)",
        """:6: ',' expected after '"' over 3 lines""",
        "",
    ]
    assert (code, out) == (0, "")
    assert err == f"4 of 6 rows have an error, first {broken}:3: column 'text' is empty\n"


def test_columns_are_those_of_the_first_proper_row_however_late_it_comes(predict, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n" + "1\n" * WINDOW + "2,dull\n")
    _, out, _ = predict("--file", tmp_path / "in.csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(rows[at]["id"], rows[at]["text"]) for at in (0, WINDOW)] == [("", ""), ("2", "dull")]


def test_a_row_with_nul_stands_in_its_place(predict, tmp_path):
    (tmp_path / "in.csv").write_bytes(b"text\ndull\na\0film\nawful\n")
    code, out, _ = predict("--file", tmp_path / "in.csv")
    errors = [row["error"].removeprefix(str(tmp_path)) for row in csv.DictReader(io.StringIO(out))]
    assert (code, errors) == (0, ["", "/in.csv:3: not text but binary data", ""])


def test_a_byte_order_mark_is_no_part_of_the_first_line(predict, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("dull\nawful\n".encode("utf-8-sig"))))
    _, out, _ = predict("--file", "-")
    assert [row["text"] for row in csv.DictReader(io.StringIO(out))] == ["dull", "awful"]


def test_lines_of_standard_input_that_are_no_text_are_named(predict, monkeypatch):
    monkeypatch.setattr(
        "sys.stdin", io.TextIOWrapper(io.BytesIO("caf\xe9\nn\0l\ndüll\n".encode("latin-1") + "ä".encode()))
    )
    _, out, _ = predict("--file", "-")
    rows = [(row["text"], row["error"]) for row in csv.DictReader(io.StringIO(out))]
    assert rows == [
        ("", "line 1: not UTF-8 text (byte 0xe9)"),
        ("", "line 2: not text but binary data"),
        ("", "line 3: not UTF-8 text (byte 0xfc)"),
        ("ä", ""),
    ]


@pytest.mark.parametrize(("bars", "variables"), [(True, {}), (False, {"CI": "1"}), (False, {"TERM": "dumb"})])
def test_progress_moves_only_in_a_terminal_that_can(bars, variables, fine_tuned, broken, tmp_path, monkeypatch):
    for name, value in ({"CI": "", "TERM": "xterm"} | variables).items():
        monkeypatch.setenv(name, value)
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 120))
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        assert main(["predict", str(fine_tuned), "--file", str(broken), "--out", f"{tmp_path}/out.csv"]) == 0
    shown = b""
    with suppress(OSError):  # the end of what was written
        while part := os.read(master, 100_000):
            shown += part
    os.close(master)
    assert b"4 of 6 rows have an error" in shown
    assert (b"rows/s" in shown) == bars


def test_objects_a_line(predict, tmp_path):
    lines = [{"text": "a wonderful film", "n": [1]}, {"n": 2}, {"text": None}, {"text": "dull"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nnot json\n")
    predict("--file", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl", "--every")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["prediction"] for row in rows] == ["good", None, None, "bad", None]
    assert [row.get("n") for row in rows] == [[1], 2, None, None, None]
    assert rows[0]["probability"] == rows[0]["probabilities"]["good"] > 0.5
    assert "no column 'text'" in rows[1]["error"]
    assert rows[3]["error"] is None


def test_a_column_that_is_not_there_is_refused_before_anything_is_written(predict, broken, tmp_path):
    code, out, err = predict("--file", broken, "--out", tmp_path / "out.csv", "--columns", "review")
    assert (code, out) == (1, "")
    expected = f"{broken}:2: no column 'review'; there are 'id', 'text', 'label'; name the texts' with --columns"
    assert err == f"error: {expected}\n"
    assert not (tmp_path / "out.csv").exists()


def test_a_column_of_the_answer_is_refused_before_anything_is_written(predict, tmp_path):
    (tmp_path / "in.csv").write_text("id,text,error,prediction\n1,dull,mine,mine\n")
    code, out, err = predict("--file", tmp_path / "in.csv", "--out", tmp_path / "out.csv")
    reason = "the answer is to stand in column 'prediction'; rename that of the row"
    assert (code, out, err) == (1, "", f"error: {tmp_path}/in.csv:2: {reason}\n")
    assert not (tmp_path / "out.csv").exists()


def test_a_file_that_exists_is_replaced_only_when_asked(predict, broken, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("mine\n" * 99)
    code, _, err = predict("--file", broken, "--out", out)
    assert (code, err) == (1, f"error: --out: {out} exists; say --overwrite to replace it\n")
    assert out.read_text() == "mine\n" * 99
    assert predict("--file", broken, "--out", out, "--overwrite")[0] == 0
    assert out.read_text().startswith("id,text,label,prediction")


def test_a_file_without_rows_gives_one_without_rows(predict, tmp_path):
    (tmp_path / "in.csv").write_text("text\n")
    assert predict("--file", tmp_path / "in.csv") == (0, "prediction,probability,error\n", "")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "give texts, or a --file; one of the two"),
        (["a text", "--file", "in.csv"], "give texts, or a --file; one of the two"),
        (["--file", "in.csv", "--out", "./in.csv"], "--out: that is the file to be read"),
    ],
)
def test_commands_that_mean_nothing_are_refused(arguments, reason, capsys):
    with pytest.raises(SystemExit):
        main(["predict", "run", *arguments])
    assert capsys.readouterr().err.endswith(f"error: {reason}\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--file", "nowhere.csv"], "nowhere.csv: no such file"),
        (
            ["a text", "--out", "out.parquet"],
            "--out: out.parquet: answers of classification are written as .csv, .jsonl",
        ),
        (["a text", "--out", "nowhere/out.csv"], "--out: nowhere/out.csv: No such file or directory"),
        ([""], "text 1: column 'text' is empty"),
    ],
)
def test_mistakes_are_told_in_a_line(predict, arguments, reason):
    assert predict(*arguments) == (1, "", f"error: {reason}\n")


def command(*arguments):
    return [sys.executable, "-m", "deploy", "predict", *map(str, arguments)]


@pytest.mark.slow
def test_lines_of_standard_input_come_out_in_their_order(fine_tuned):
    lines = [f"a film {'dull ' * (number % 7)}{number}" for number in range(50)] + ["", "awful"]
    done = subprocess.run(
        command(fine_tuned, "--file", "-"), input="\n".join(lines), cwd=ROOT, capture_output=True, text=True, check=True
    )
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["text"] for row in rows] == lines
    assert rows[50]["error"] == "line 51: column 'text' is empty"
    assert "\r" not in done.stderr


@pytest.mark.slow
def test_what_was_written_before_an_interruption_stays_in_whole_lines(fine_tuned, heed_interrupts, tmp_path):
    out = tmp_path / "out.csv"
    process = subprocess.Popen(
        command(fine_tuned, "--file", "-", "--out", out),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    process.stdin.write(b"a wonderful film\n" * (WINDOW + 100))
    process.stdin.flush()
    while not (out.exists() and out.stat().st_size):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err == b"interrupted; what was written stays\n"
    assert len(out.read_text().splitlines()) == 1 + WINDOW
    assert out.read_text().endswith("\n")


@pytest.mark.slow
def test_a_reader_that_has_had_enough_ends_it_quietly(fine_tuned):
    process = subprocess.Popen(
        command(fine_tuned, "--file", "-"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    _, err = process.communicate(b"a wonderful film\n")
    assert (process.returncode, err) == (141, b"")


@pytest.mark.skipif(not shutil.which("prlimit"), reason="needs prlimit")
@pytest.mark.slow
def test_a_file_that_cannot_grow_keeps_whole_windows(fine_tuned, tmp_path):
    out = tmp_path / "out.csv"
    lines = b"a wonderful film\n" * (2 * WINDOW)
    limited = ["prlimit", "--fsize=200000", *command(fine_tuned, "--file", "-", "--out", out)]
    done = subprocess.run(limited, input=lines, cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stderr) == (1, f"error: --out: {out}: File too large\n".encode())
    assert len(out.read_text().splitlines()) == 1 + WINDOW


@pytest.mark.slow
def test_a_tagger_reads_and_writes_conll(tagger, tmp_path, capfd):
    (tmp_path / "in.conll").write_text("the O\nfilm B-x\n\nis O\nodd\n\ndull O\n")
    out = tmp_path / "out.conll"
    assert (
        main(["predict", str(tagger), "--file", f"{tmp_path}/in.conll", "--columns", "tokens", "--out", str(out)]) == 0
    )
    words = [line.split("\t")[0] for line in out.read_text().splitlines()]
    assert words[:3] + words[4:] == ["the", "film", "", "", "dull", ""]
    assert words[3].startswith(f"# {tmp_path}/in.conll:5: 1 columns")
    assert main(["predict", str(tagger), "the film is dull"]) == 0
    tags, text = capfd.readouterr().out.strip().split("\t")
    assert (len(tags.split()), text) == (4, "the film is dull")


@pytest.fixture
def tagger(fine_tuned, tmp_path):
    """A model that was saved by itself, with random tags."""
    model = BertForTokenClassification(BertConfig.from_pretrained(fine_tuned, id2label={0: "O", 1: "B-x"}))
    model.save_pretrained(tmp_path / "tagger")
    AutoTokenizer.from_pretrained(fine_tuned).save_pretrained(tmp_path / "tagger")
    return tmp_path / "tagger"
