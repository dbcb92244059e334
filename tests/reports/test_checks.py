import json

import pytest

from reports.checks import wrong

SPOILT = {
    "no metric": {"metric": 1},
    "no teacher.score": {"teacher": {"score": None}},
    "no exits.a.score": {"exits": {"a": {}}},
    "no exits.score": {"exits": [1]},
    "student.latency_ms.1 is no number": {"student": {"latency_ms": {"1": "fast"}}},
    "student.latency_ms is no number": {"student": {"latency_ms": [1]}},
    "kd_gain is no number": {"kd_gain": "+5"},
    "speedup is no number": {"speedup": [1]},
    "distill_seconds is no number": {"distill_seconds": float("inf")},
    "retention is no number": {"retention": True},
    "": {"teacher": None, "baseline": None, "exits": None, "speedup": None, "kd_gain": None},
}


@pytest.mark.parametrize("said", SPOILT)
def test_all_that_is_reckoned_with_is_a_number(tmp_path, make_run, said):
    report = json.loads((make_run(tmp_path / "0", [], 0.6) / "report.json").read_text())
    for key, value in SPOILT[said].items():
        report[key] = report[key] | value if isinstance(value, dict) else value
    assert wrong(report) == said
