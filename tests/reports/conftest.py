"""Run folders as `train.py` writes them, made in a moment."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

CONFIG: dict[str, Any] = {
    "data": {"task": {"_target_": "data.classification.Classification"}, "batch_size": 32, "source": {"path": "films"}},
    "student": {"_target_": "models.bilstm.BiLSTM", "hidden_size": 128},
    "kd": {"terms": {"response": {"temperature": 2.0}}, "label_weight": 1.0},
    "seed": 1,
    "run_dir": "",
    "stages_dir": "${run_dir}/stages",
}
CHOICES = {"student": "bilstm", "scheme": "offline", "data": "films", "teacher": "minilm", "optimizer": "adamw"}


def figures(score: float, millions: float, milliseconds: float) -> dict[str, Any]:
    latency = {"1": milliseconds, "32": 8 * milliseconds}
    sizes = {"parameters": int(millions * 1e6), "megabytes": 4 * millions, "latency_ms": latency}
    return {"score": score, "scores": {"accuracy": score}} | sizes


def report(score: float, baseline: float | None, milliseconds: float, **more: Any) -> dict[str, Any]:
    return {
        "task": "classification",
        "metric": "accuracy",
        "split": "test",
        "teacher": figures(0.8, 20, 16.0),
        "student": figures(score, 5, milliseconds),
        "baseline": baseline and figures(baseline, 5, milliseconds),
        "exits": {},
        "retention": score / 0.8,
        "kd_gain": baseline and score - baseline,
        "compression": 4.0,
        "speedup": {"1": 16 / milliseconds, "32": 16 / milliseconds},
        "teacher_seconds": 0.0,
        "store_seconds": 0.0,
        "distill_seconds": 40.0,
        "versions": {},
    } | more


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """Writes a run folder; without a score one without a report."""

    def make_run(
        folder: Path,
        overrides: list[str],
        score: float | None = None,
        baseline: float | None = 0.5,
        milliseconds: float = 2.0,
        metrics: str = "",
        config: dict[str, Any] | None = None,
        **more: Any,
    ) -> Path:
        folder.mkdir(parents=True)
        values = copy.deepcopy(CONFIG) | {"run_dir": str(folder)} | (config or {})
        said = dict(override.split("=", 1) for override in overrides)
        values["seed"] = int(said.get("seed", 1))
        values["student"] |= {"_target_": said.get("student", "bilstm")}
        values["kd"] |= {"terms": {said.get("kd", "response"): {"temperature": 2.0}}}
        names = CHOICES | {key: value for key, value in said.items() if key in CHOICES}
        for name, content in {"config": values, "overrides": overrides, "choices": names}.items():
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        if score is not None:
            content = report(score, baseline, milliseconds, overrides=overrides, **more)
            (folder / "report.json").write_text(json.dumps(content))
        if metrics:
            (folder / "metrics.csv").write_text(metrics)
        return folder

    return make_run
