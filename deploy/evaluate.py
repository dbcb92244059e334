"""The figures of a run, measured on the test split: what a report is made of."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor

from data.batches import EncodedExamples
from data.examples import Examples
from data.module import Batches
from data.task import Task
from deploy.measure import latencies, predict, size
from models.network import Network

BATCH_SIZES = (1, 32)
REPEATS = {1: 100, 32: 15}


def evaluate(
    networks: Mapping[str, Network],
    examples: Examples,
    task: Task,
    max_length: int,
    batch_size: int,
    device: torch.device,
) -> tuple[dict[str, dict[str, Any]], dict[str, list[Tensor]]]:
    """Figures of each network by role, and its prediction for each test row.

    All networks read the same texts. Scores are computed on the device, latencies on the CPU.
    """
    tokenizers = [network.tokenizer for network in networks.values()]
    splits = examples.test, examples.validation
    batches = Batches(*splits, tokenizers, max_length, batch_size, batch_size, task=task)
    test = batches.encode(examples.test)
    figures: dict[str, dict[str, Any]] = {}
    predictions: dict[str, list[Tensor]] = {}
    for role, network in networks.items():
        scores, predictions[role] = scored(network.to(device), batches.evaluation(test), examples.test, task)
        network.cpu()
        figures[role] = {"score": scores[task.metric], "scores": scores, **size(network), "latency_ms": {}}
    for count in BATCH_SIZES:
        for role, milliseconds in _latencies(networks, test, count).items():
            figures[role]["latency_ms"][str(count)] = milliseconds
    return figures, predictions


def cost(network: Network, rows: Dataset, task: Task, max_length: int) -> dict[str, Any]:
    """`parameters`, `megabytes` and `latency_ms` (batch 1) of a network, as a report on these rows would state them."""
    encoded = Batches(rows, rows, [network.tokenizer], max_length, 1, 1, task=task).train
    return {**size(network), "latency_ms": _latencies({"": network.eval()}, encoded, 1)[""]}


def _latencies(networks: Mapping[str, Network], rows: EncodedExamples, count: int) -> dict[str, float]:
    typical = rows.__getitems__(typical_rows(rows.lengths(np.arange(len(rows))), count))
    return latencies(networks, typical["encodings"], REPEATS[count])


def scored(
    network: Network, batches: Iterable[Any], rows: Dataset, task: Task
) -> tuple[dict[str, float], list[Tensor]]:
    """A network's scores by name, and its prediction for each row, from batches of the rows in their order."""
    network.record(frozenset())
    metrics = task.metrics(rows, sync_on_compute=False)  # no other process is here
    predictions: list[Tensor] = []
    for logits, batch in predict(network, batches):
        predicted, labels = task.predictions(logits), batch["labels"]
        metrics.update(predicted, labels, ids=batch["id"])
        predictions += task.readable(predicted, labels)
    return {name: score.float().nan_to_num().item() for name, score in metrics.compute().items()}, predictions


def typical_rows(lengths: np.ndarray, count: int) -> list[int]:
    """The `count` rows in the middle when all are sorted by length."""
    order = np.argsort(lengths, kind="stable")
    start = max(0, (len(order) - count) // 2)
    return [int(row) for row in order[start : start + count]]


def comparison(figures: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """How the student stands against teacher and baseline; None where there is none, or its score is 0."""
    student, teacher, baseline = (figures.get(role) for role in ("student", "teacher", "baseline"))
    assert student is not None
    return {
        "retention": student["score"] / teacher["score"] if teacher and teacher["score"] else None,
        "kd_gain": baseline and student["score"] - baseline["score"],
        "compression": teacher and teacher["parameters"] / student["parameters"],
        "speedup": teacher
        and {
            count: milliseconds / student["latency_ms"][count] for count, milliseconds in teacher["latency_ms"].items()
        },
    }


def write_predictions(path: Path, examples: Examples, task: Task, predictions: Sequence[Tensor]) -> None:
    """One line a test row, or a question: its id, its label, the prediction, and where a task has them numbers.

    No file where the task has no lines.
    """
    lines = list(task.lines(examples.test, predictions))
    if not lines:
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "label", "prediction", *task.columns])
        writer.writerows(lines)
