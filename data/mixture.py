"""The task of several classifications at once, and the data sets of it made one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, Features, Value, concatenate_datasets
from torch import Tensor, nn
from torchmetrics import MetricCollection
from torchmetrics.wrappers.abstract import WrapperMetric

from data.classification import Classification
from data.columns import Numbers
from data.examples import Examples
from data.task import IGNORED
from data.tokenization import PART
from potstill import fingerprint
from potstill.errors import UserError

BETWEEN = "/"  # the name of a part and a class of it
RECURRING = ("train", "unlabelled")
SPLITS = (*RECURRING, "validation", "test")


@dataclass(frozen=True)
class Mixture(Classification):
    """One class a row, out of those of the row's own data set: cross-entropy over these.

    A network for it has one encoder and, for each data set, a few rows of its last layer (MT-DNN, Liu et al., 2019,
    arXiv 1901.11504, whose batches are of one data set each; here a batch has rows of several).

    Args:
        labels: `PART/CLASS`, those of a part side by side.
        metric: as for one data set: the mean over the parts.
    """

    name: ClassVar[str] = "mixture"
    problem: ClassVar[str] = "multi_task_classification"

    @property
    def parts(self) -> dict[str, Classification]:
        """The tasks of the data sets, by their names."""
        return {
            part: Classification(tuple(label.partition(BETWEEN)[2] for label in labels))
            for part, labels in groupby(self.labels, lambda label: label.partition(BETWEEN)[0])
        }

    @property
    def choices(self) -> np.ndarray:
        sizes = [len(task.labels) for task in self.parts.values()]
        return np.repeat(np.eye(len(sizes), dtype=bool), sizes, axis=1)

    def metrics(self, rows: Dataset | None = None, **options: Any) -> MetricCollection:
        names = super().metrics()
        return MetricCollection({str(name): MeanOfParts(self.parts, str(name), **options) for name in names})


class MeanOfParts(WrapperMetric):
    """The mean of a score over the data sets; that of each one is called `NAME/PART`.

    Args:
        parts: the tasks by name, in the order of their classes.
        name: of the score.
        options: of any metric.
    """

    full_state_update = False
    higher_is_better = True

    def __init__(self, parts: Mapping[str, Classification], name: str, **options: Any):
        super().__init__(**options)
        self.name, self.parts = name, tuple(parts)
        self.sizes = [len(task.labels) for task in parts.values()]
        self.scores = nn.ModuleList(task.metrics(**options)[name] for task in parts.values())

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Take probabilities `[B, C]` and labels `[B]`."""
        start = 0
        for size, score in zip(self.sizes, self.scores, strict=True):
            mine = (labels >= start) & (labels < start + size)
            if mine.any():
                score.update(predictions[mine, start : start + size], labels[mine] - start)  # type: ignore[operator]
            start += size

    def compute(self) -> dict[str, Tensor]:
        values = [score.compute() for score in self.scores]  # type: ignore[operator]
        return {self.name: sum(values) / len(values)} | {
            f"{self.name}{BETWEEN}{part}": value for part, value in zip(self.parts, values, strict=True)
        }

    def reset(self) -> None:
        super().reset()
        for score in self.scores:
            score.reset()  # type: ignore[operator]


def mixed(parts: Mapping[str, Examples], temperature: float) -> Examples:
    """The data sets as one, with a column `part` that numbers them.

    In an epoch the rows of a part of size n recur `(N / n) ** (1 - 1 / temperature)` times, N being the size of the
    largest one: its shares are those of sampling with `n ** (1 / temperature)` (as multilingual BERT does).

    Args:
        parts: by name.
        temperature: 1 lets every row occur once; at infinity all parts weigh the same.

    Raises:
        UserError: there are fewer than two, or the temperature is below 1.
    """
    if len(parts) < 2:
        raise UserError("data.parts: two data sets at least make a mixture; say +data@data.parts.NAME=…")
    if not isinstance(temperature, int | float) or not temperature >= 1:
        raise UserError(f"data.temperature: {temperature!r} is not a number from 1 on")
    labels = tuple(f"{name}{BETWEEN}{label}" for name, part in parts.items() for label in part.labels)
    pairs = any("text_pair" in part.train.column_names for part in parts.values())
    largest, start, notes = max(len(part.transfer) for part in parts.values()), 0, []
    rows: dict[str, list[Dataset]] = {split: [] for split in SPLITS}
    for number, (name, part) in enumerate(parts.items()):
        times = (largest / len(part.transfer)) ** (1 - 1 / temperature)
        for split, some in rows.items():
            own = _numbered(getattr(part, split), name, number, start, pairs)
            some.append(recurring(own, times if split in RECURRING else 1))
        start += len(part.labels)
        notes += [f"{name}: {note}" for note in (_sizes(part, times), *part.notes)]
    splits = {split: concatenate_datasets(some) for split, some in rows.items()}
    return Examples(**splits, labels=labels, notes=tuple(notes))


def _sizes(part: Examples, times: float) -> str:
    often = f", each {times:.3g} times" if times > 1 else ""
    return f"{len(part.train):,} labelled and {len(part.unlabelled):,} unlabelled training rows{often}"


def recurring(rows: Dataset, times: float) -> Dataset:
    """Every row so many times; those that make a fraction of all are always the same."""
    whole, rest = divmod(round(times * len(rows)), max(len(rows), 1))
    if (whole, rest) == (1, 0):
        return rows
    some = np.argsort(Numbers(rows, "id")[range(len(rows))], kind="stable")[:rest]
    return rows.select(np.concatenate([np.tile(np.arange(len(rows)), whole), np.sort(some)]))


def _numbered(rows: Dataset, name: str, number: int, start: int, pairs: bool) -> Dataset:
    """Rows with the part's number, classes counted on from `start`, and ids that no other part has."""
    key = fingerprint.of_text(name)

    def change(batch: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
        labels = [label if label == IGNORED else label + start for label in batch["label"]]
        changed = {"label": labels, "id": [own ^ key for own in batch["id"]], PART: [number] * len(labels)}
        return changed | ({"text_pair": list(batch.get("text_pair", [""] * len(labels)))} if pairs else {})

    features = Features(rows.features | {PART: Value("int64")} | ({"text_pair": Value("string")} if pairs else {}))
    made = fingerprint.of_value([rows._fingerprint, name, number, start, pairs])
    return rows.map(change, batched=True, features=features, new_fingerprint=made)
