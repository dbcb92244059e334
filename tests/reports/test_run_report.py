import json
import re

import matplotlib.image
import pytest

from reports.run_report import as_markdown, draw, write_report

REPORT = {
    "task": "classification",
    "metric": "accuracy",
    "split": "test",
    "teacher": {
        "score": 0.8519,
        "parameters": 22_713_986,
        "megabytes": 90.86,
        "latency_ms": {"1": 7.125, "32": 98.44},
    },
    "student": {
        "score": 0.8254,
        "parameters": 12_320_000,
        "megabytes": 49.3,
        "latency_ms": {"1": 0.914, "32": 12.26},
    },
    "baseline": {
        "score": 0.8041,
        "parameters": 12_320_000,
        "megabytes": 49.3,
        "latency_ms": {"1": 0.92, "32": 12.3},
    },
    "retention": 0.96889,
    "kd_gain": 0.0213,
    "compression": 1.8437,
    "speedup": {"1": 7.795, "32": 8.03},
    "teacher_seconds": 0.0,
    "store_seconds": 0.0,
    "distill_seconds": 61.7,
    "versions": {"torch": "2.6.0"},
    "overrides": ["student=bilstm", "seed=3"],
}
ALONE = REPORT | dict.fromkeys(["teacher", "baseline", "retention", "kd_gain", "compression", "speedup"])


def table(text):
    """The cells of the Markdown table."""
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows]


def test_the_last_line_makes_the_run_again():
    assert as_markdown(REPORT).endswith("\n    python train.py student=bilstm seed=3\n")
    assert as_markdown(REPORT | {"overrides": []}).endswith("\n    python train.py\n")
    assert as_markdown(REPORT | {"overrides": ["kd=[a,b]"]}).endswith("\n    python train.py 'kd=[a,b]'\n")


def test_the_table_has_a_row_for_each_model():
    header, _, *rows = table(as_markdown(REPORT))
    assert header[1:] == ["accuracy", "parameters", "megabytes", "ms, batch 1", "ms, batch 32"]
    assert rows[0] == ["teacher", "85.2%", "22.7 M", "90.9", "7.12", "98.4"]
    assert [row[0] for row in rows] == ["teacher", "student", "baseline"]


def test_the_table_is_straight_also_as_plain_text():
    lines = [line for line in as_markdown(REPORT).splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert len({tuple(match.start() for match in re.finditer(r"\|", line)) for line in lines}) == 1
    assert re.fullmatch(r"\| -+ (\| -+: ){5}\|", lines[1])


def test_sentences_answer_what_was_gained_and_what_it_cost():
    text = as_markdown(REPORT)
    assert "keeps 96.9% of the teacher's score, is 1.8 times smaller" in text
    assert "7.8 (batch 1) and 8.0 times (batch 32) faster" in text
    assert "Distillation gained +2.1 points" in text
    assert "fine-tuning the teacher 0, asking it once for what is stored 0, distillation 62." in text


def test_a_loss_by_distillation_keeps_its_sign():
    assert "gained -1.2 points" in as_markdown(REPORT | {"kd_gain": -0.012})


def test_a_gain_of_nothing_is_still_said():
    assert "gained +0.0 points" in as_markdown(REPORT | {"kd_gain": 0.0})


def test_without_teacher_nothing_is_said_of_one():
    text = as_markdown(REPORT | dict.fromkeys(["teacher", "retention", "compression", "speedup"]))
    assert "keeps" not in text
    assert [row[0] for row in table(text)[2:]] == ["student", "baseline"]
    assert "points over the same student" in text


def test_without_baseline_nothing_is_said_of_a_gain():
    text = as_markdown(REPORT | {"baseline": None, "kd_gain": None})
    assert "gained" not in text
    assert [row[0] for row in table(text)[2:]] == ["teacher", "student"]


def test_a_student_alone_is_reported_too():
    assert [row[0] for row in table(as_markdown(ALONE))[2:]] == ["student"]


def test_a_mean_over_data_sets_is_told_by_data_set():
    scores = {"accuracy": 0.8, "f1": 0.7, "accuracy/films": 0.75, "accuracy/questions": 0.85, "f1/films": 0.7}
    roles = ("teacher", "student", "baseline")
    text = as_markdown(REPORT | {role: REPORT[role] | {"scores": scores} for role in roles})
    *_, header, _line, teacher, student, baseline = table(text)
    assert header == ["", "accuracy/films", "accuracy/questions"]
    assert [teacher, student, baseline] == [[role, "75.0%", "85.0%"] for role in roles]


@pytest.mark.parametrize("report", [REPORT, ALONE], ids=["all", "alone"])
def test_the_picture_is_one(tmp_path, report):
    draw(report, tmp_path / "report.png")
    picture = matplotlib.image.imread(tmp_path / "report.png")
    assert picture.shape[:2] == (600, 900)
    assert len({tuple(colour) for colour in picture[::3, ::3, :3].reshape(-1, 3)}) > 20


def test_text_and_picture_are_written_beside_the_figures(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    text = write_report(tmp_path)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text == as_markdown(REPORT)
    assert (tmp_path / "report.png").stat().st_size > 1000


def test_a_report_can_be_written_again(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    write_report(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps(ALONE))
    assert "teacher  " not in write_report(tmp_path)


def test_exits_stand_between_student_and_baseline(tmp_path):
    exits = {"exit1": REPORT["student"] | {"score": 0.7}, "exit2": REPORT["student"] | {"score": 0.8}}
    rows = table(as_markdown(REPORT | {"exits": exits}))
    assert [row[0] for row in rows[2:]] == ["teacher", "student", "exit1", "exit2", "baseline"]
    assert rows[4][1] == "70.0%"
    draw(REPORT | {"exits": exits}, tmp_path / "report.png")
    assert matplotlib.image.imread(tmp_path / "report.png").std() > 0
