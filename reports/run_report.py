"""A run's `report.json` as a table and as a picture."""

import json
import shlex
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from reports.tables import in_words, table

COLOURS = {"teacher": "#4477aa", "student": "#228833", "baseline": "#aa3377"}
EXIT = "#ccbb44"


def write_report(folder: Path) -> str:
    """Make `report.md` and `report.png` beside a folder's `report.json`; gives the text of the former."""
    report = json.loads((folder / "report.json").read_text())
    text = as_markdown(report)
    (folder / "report.md").write_text(text, encoding="utf-8")
    draw(report, folder / "report.png")
    return text


def as_markdown(report: dict[str, Any]) -> str:
    """The answer to: how much smaller and faster, and what did it cost?"""
    header = ["", report["metric"], "parameters", "megabytes", "ms, batch 1", "ms, batch 32"]
    rows = [
        [name, in_words(figures["score"], report["metric"]), *_sizes(figures)]
        for name, figures in measured(report).items()
    ]
    lines = [
        "# What the student costs and saves",
        "",
        *table(header, rows),
        "",
        *_parts(report),
        *_sentences(report),
        "",
    ]
    lines.append(
        f"Measured on the {report['split']} split. Seconds: fine-tuning the teacher {report['teacher_seconds']:.0f}, "
        f"asking it once for what is stored {report['store_seconds']:.0f}, "
        f"distillation {report['distill_seconds']:.0f}."
    )
    lines += ["", f"    {shlex.join(['python', 'train.py', *report['overrides']])}"]
    return "\n".join(lines) + "\n"


def measured(report: dict[str, Any]) -> dict[str, Any]:
    """The figures of everything that was measured: teacher, student, its exits, baseline."""
    named = {"teacher": report["teacher"], "student": report["student"]} | report.get("exits", {})
    return {name: figures for name, figures in (named | {"baseline": report["baseline"]}).items() if figures}


def draw(report: dict[str, Any], path: Path) -> None:
    """Score against latency at batch 1, a point a model, its area by its parameters."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    shown = measured(report)
    largest = max(figures["parameters"] for figures in shown.values())
    for role, figures in shown.items():
        x, y = figures["latency_ms"]["1"], figures["score"] * 100
        axes.scatter(x, y, s=60 + 500 * figures["parameters"] / largest, color=COLOURS.get(role, EXIT), alpha=0.75)
        label = f"{role}\n{y:.1f} %, {x:.1f} ms, {figures['parameters'] / 1e6:.1f} M"
        axes.annotate(label, (x, y), xytext=(0, -16), textcoords="offset points", ha="center", va="top", fontsize=8)
    axes.set_xscale("log")
    axes.margins(0.35, 0.45)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.tick_params(which="minor", labelsize=7)
    axes.set_xlabel("milliseconds a text, batch 1, CPU (log scale)")
    axes.set_ylabel(f"{report['metric']} on {report['split']}, %")
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=150)


def _sizes(figures: dict[str, Any]) -> list[str]:
    latency = figures["latency_ms"]
    return [
        f"{figures['parameters'] / 1e6:.1f} M",
        f"{figures['megabytes']:.1f}",
        f"{latency['1']:.2f}",
        f"{latency['32']:.1f}",
    ]


def _parts(report: dict[str, Any]) -> list[str]:
    """A table of the scores whose mean the score is, where it is one."""
    names = [name for name in report["student"].get("scores", {}) if name.startswith(f"{report['metric']}/")]
    if not names:
        return []
    shown = measured(report).items()
    rows = [[role, *(in_words(figures["scores"][name], name) for name in names)] for role, figures in shown]
    return [*table(["", *names], rows), ""]


def _sentences(report: dict[str, Any]) -> list[str]:
    said = []
    if report["retention"] is not None:
        speedup = report["speedup"]
        said.append(
            f"The student keeps {report['retention']:.1%} of the teacher's score, is {report['compression']:.1f} times "
            f"smaller, and {speedup['1']:.1f} (batch 1) and {speedup['32']:.1f} times (batch 32) faster."
        )
    if report["kd_gain"] is not None:
        said.append(f"Distillation gained {report['kd_gain'] * 100:+.1f} points over the same student on labels alone.")
    return said
