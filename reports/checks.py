"""What of a report has to be a number: all that is reckoned with."""

from collections.abc import Iterator
from typing import Any

ROLES = ("student", "teacher", "baseline")
MEASURED = ("kd_gain", "retention", "compression", "teacher_seconds", "store_seconds", "distill_seconds")
Figures = Iterator[tuple[str, Any, bool]]


def wrong(report: Any) -> str:
    """What is not as in every report, such as `no student.score`; empty where nothing is."""
    if not isinstance(report, dict) or not isinstance(report.get("metric"), str):
        return "no metric"
    for name, value, needed in _figures(report):
        if value is None and needed:
            return f"no {name}"
        if value is not None and not (type(value) in (int, float) and abs(value) < 1e300):
            return f"{name} is no number"
    return ""


def _figures(report: dict[str, Any]) -> Figures:
    """Name and value of each, and whether it may not be null, which is: not measured."""
    for role in ROLES:
        figures = report.get(role)
        if figures is not None or role == "student":
            yield from ((f"{role}.{name}", _item(figures, name), True) for name in ("score", "parameters", "megabytes"))
            yield from _each(f"{role}.latency_ms", _item(figures, "latency_ms"), needed=True)
    for name, figures, _ in _each("exits", report.get("exits") or {}):
        yield f"{name}.score", _item(figures, "score"), True
    yield from _each("speedup", report.get("speedup"))
    yield from ((name, report.get(name), False) for name in MEASURED)


def _each(name: str, content: Any, needed: bool = False) -> Figures:
    """The values of a mapping; what is none is told as what is no figure."""
    if isinstance(content, dict):
        yield from ((f"{name}.{key}", value, False) for key, value in content.items())
    else:
        yield name, content and str(content), needed


def _item(content: Any, name: str) -> Any:
    return content.get(name) if isinstance(content, dict) else None
