"""From a source's splits to the examples of a run: checked, numbered, split, labels as class indices."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, Features, Value, concatenate_datasets

from data.classification import Classification
from data.columns import content
from data.task import Task
from potstill import fingerprint
from potstill.errors import UserError

log = logging.getLogger(__name__)

LARGEST_HASH = 2**63
TEXTS = ("text", "text_pair")
LACKING = "lacking"


@dataclass(frozen=True)
class Examples:
    """The examples of a run, with columns `id`, `loose_id`, `text`, (`text_pair`), `label`, `where`.

    Args:
        train: the labelled training rows.
        unlabelled: the transfer set: rows whose `label` stands for none; may have no rows.
        validation: rows that choose the checkpoint.
        test: rows that give the scores of the report.
        labels: names of the numbers that a model gives for a row: of the classes, in order.
        notes: what was decided on the way, a line each.
    """

    train: Dataset
    unlabelled: Dataset
    validation: Dataset
    test: Dataset
    labels: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def transfer(self) -> Dataset:
        """What distillation runs over: the labelled and the unlabelled training rows."""
        return concatenate_datasets([self.train, self.unlabelled]) if len(self.unlabelled) else self.train

    @property
    def fingerprint(self) -> str:
        """Name of what a teacher is fine-tuned on: content and labels of training and validation rows."""
        return fingerprint.of_value([self.labels, _content(self.train), _content(self.validation)])


@dataclass(frozen=True)
class Split:
    """How training rows are parted; always by a hash of their content, so that it never changes.

    Args:
        validation: share of the training rows that becomes the validation split where there is none.
        test: the same for the test split.
        labelled_rows: how many training rows keep their labels; the rest joins the transfer set.
        distinct: keep only the first of rows with the same text.
    """

    validation: float = 0.1
    test: float = 0.1
    labelled_rows: int | None = None
    distinct: bool = False

    def __post_init__(self) -> None:
        if self.validation < 0 or self.test < 0 or self.validation + self.test >= 1:
            raise UserError(
                f"data.split: validation {self.validation} and test {self.test} must leave something to train on"
            )


def prepare(
    splits: dict[str, Dataset],
    split: Split,
    labels: Sequence[str] | None = None,
    task: Task | None = None,
    skip: bool = False,
) -> Examples:
    """Check and part the rows of a source.

    Args:
        splits: what a source gave: `train`, and perhaps `validation`, `test`, `unlabelled`.
        split: how to part the training rows.
        labels: the class names in order; found in the training rows where not given.
        task: what is done with them; classification where not given.
        skip: leave rows out whose label is not to be understood and tell how many, instead of refusing the first.

    Raises:
        UserError: a split without rows, an unknown label, fewer than two classes.
    """
    notes: list[str] = []
    splits = {name: _without_empty(name, rows) for name, rows in splits.items()}
    if split.distinct:
        splits["train"] = _distinct(splits["train"], notes)
    task = task or Classification()
    if not task.needs_labels:
        splits, split = _all_alike(splits), replace(split, labelled_rows=None)
    splits = _part_unlabelled(splits, task)
    splits = _cut_missing(splits, split, notes)
    found = splits["train"].unique("label")  # also of rows whose label is then taken away: a task knows its classes
    if split.labelled_rows is not None:
        splits = _take_labels_away(splits, split.labelled_rows, notes)
    _refuse_empty(splits)
    names = task.names(map(str, found), labels)
    encoded = {name: _encode(name, rows, replace(task, labels=names), skip) for name, rows in splits.items()}
    _refuse_empty(encoded)
    examples = Examples(**encoded, labels=names, notes=tuple(notes))
    if isinstance(task, Classification):
        _warn_of_unseen_classes(examples)
    _warn_of_recurring_tests(examples)
    return examples


def _refuse_empty(splits: Mapping[str, Dataset]) -> None:
    for name in ("train", "validation", "test"):
        if not len(splits[name]):
            raise UserError(f"data: no rows are left in the {name} split")


def _texts(rows: Dataset) -> list[str]:
    return [column for column in TEXTS if column in rows.column_names]


def _column(rows: Dataset, name: str) -> pa.ChunkedArray:
    return rows.with_format("arrow")[name][:]


def _numbers(rows: Dataset, name: str) -> np.ndarray:
    return _column(rows, name).to_numpy()


def _without_empty(name: str, rows: Dataset) -> Dataset:
    keep = np.ones(len(rows), dtype=bool)
    for column in _texts(rows):
        chunks = _column(rows, column).chunks  # one at a time: trimmed texts take as much room as the texts
        keep &= np.concatenate([np.zeros(0, dtype=bool), *map(_has_text, chunks)])
    if keep.all():
        return rows
    (empty,) = np.nonzero(~keep)
    log.warning(
        "%d rows of %s have an empty text and are left out, first %s", len(empty), name, rows[empty[0]]["where"]
    )
    return rows.select(np.nonzero(keep)[0])


def _has_text(texts: pa.Array) -> np.ndarray:
    lengths = pc.utf8_length(pc.utf8_trim_whitespace(texts))
    return lengths.to_numpy(zero_copy_only=False) > 0


def _distinct(rows: Dataset, notes: list[str]) -> Dataset:
    _, first = np.unique(_numbers(rows, "id"), return_index=True)
    notes.append(f"{len(rows) - len(first)} training rows that repeat an earlier text are left out")
    return rows.select(np.sort(first))


def _cut_missing(splits: dict[str, Dataset], split: Split, notes: list[str]) -> dict[str, Dataset]:
    """Cut validation and test, where missing, off the training rows, whole groups at a time."""
    train = splits["train"]
    missing = {name: getattr(split, name) for name in ("validation", "test") if name not in splits}
    if not missing or not len(train):
        return splits
    place = _group_hashes(train) / LARGEST_HASH
    side = np.full(len(train), "train", dtype=object)
    start = 0.0
    for name, share in missing.items():
        side[(place >= start) & (place < start + share)] = name
        start += share
        notes.append(f"{name} split: {np.sum(side == name)} rows cut off the training rows")
    return splits | {name: train.select(np.nonzero(side == name)[0]) for name in ("train", *missing)}


def _group_hashes(rows: Dataset) -> np.ndarray:
    groups, own = _column(rows, "group"), _numbers(rows, "id")
    if groups.null_count == len(rows):
        return own
    hashes = (fingerprint.of_text(group) if group else own[row] for row, group in enumerate(groups.to_pylist()))
    return np.fromiter(hashes, np.int64, len(rows))


def _all_alike(splits: dict[str, Dataset]) -> dict[str, Dataset]:
    """Where labels do not matter, the transfer set is a part of the training rows."""
    others = dict(splits)
    unlabelled = others.pop("unlabelled", None)
    return others if unlabelled is None else others | {"train": concatenate_datasets([others["train"], unlabelled])}


def _part_unlabelled(splits: dict[str, Dataset], task: Task) -> dict[str, Dataset]:
    """Training rows without label join the transfer set, unless none needs one."""
    lacking = rows_without_label(splits["train"])
    return _move(splits, ~lacking if task.needs_labels else np.ones_like(lacking))


def _take_labels_away(splits: dict[str, Dataset], count: int, notes: list[str]) -> dict[str, Dataset]:
    """Let `count` training rows keep their label; the others join the transfer set."""
    rows = len(splits["train"])
    if count >= rows:
        return splits
    keep = np.zeros(rows, dtype=bool)
    keep[np.argsort(_numbers(splits["train"], "id"), kind="stable")[:count]] = True
    notes.append(f"{keep.sum()} of {rows} labelled training rows keep their label")
    return _move(splits, keep)


def _move(splits: dict[str, Dataset], keep: np.ndarray) -> dict[str, Dataset]:
    """Move the training rows that are not to be kept to the transfer set."""
    train = splits["train"]
    moved = train.select(np.nonzero(~keep)[0])
    others = [splits["unlabelled"]] if "unlabelled" in splits else []
    return splits | {
        "train": train.select(np.nonzero(keep)[0]),
        "unlabelled": concatenate_datasets([moved, *others]),
    }


def rows_without_label(rows: Dataset) -> np.ndarray:
    """Which rows have no label, as an array of bool."""
    return pc.is_null(_column(rows, "label")).to_numpy(zero_copy_only=False)


def _encode(name: str, rows: Dataset, task: Task, skip: bool) -> Dataset:
    """Rows with their labels as numbers, none in the transfer set; written to disk, in the order in which they are."""
    rows = task.prepared(rows, name)
    kept = {column: feature for column, feature in rows.features.items() if column not in ("label", "group")}

    def encode(batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        labels = batch["label"] if name != "unlabelled" else [None] * len(batch["label"])
        both = zip(labels, batch["text"], strict=True)
        values = [None if label is None and task.needs_labels else task.encode(label, text) for label, text in both]
        return {
            "label": [task.missing if value is None else value for value in values],
            LACKING: [value is None for value in values],
        }

    encoded = rows.map(
        encode,
        batched=True,
        remove_columns=[column for column in ("label", "group") if column in rows.column_names],
        features=Features(kept | {"label": task.feature, LACKING: Value("int8")}),
        new_fingerprint=fingerprint.of_value([rows._fingerprint, name, task.name, task.labels]),
    )
    if name != "unlabelled" and (lacking := _numbers(encoded, LACKING).astype(bool)).any():
        reason = _unknown(name, rows, lacking, task)
        if not skip:
            raise UserError(reason)
        log.warning("left out (data.on_error=skip): %s", reason)
        encoded = encoded.select(np.nonzero(~lacking)[0])
    return encoded.remove_columns([name for name in encoded.column_names if name == LACKING])  # none without rows


def _unknown(name: str, rows: Dataset, lacking: np.ndarray, task: Task) -> str:
    row = rows[int(lacking.argmax())]
    what, advice = ("no label", "") if row["label"] is None else task.complaint(row["label"], row["text"])
    advice = advice and f"; {advice}"
    return f"{row['where']}: {what} in the {name} split ({lacking.sum()} such rows){advice}"


def _warn_of_unseen_classes(examples: Examples) -> None:
    seen = set(np.unique(_numbers(examples.train, "label")).tolist())
    unseen = [label for number, label in enumerate(examples.labels) if number not in seen]
    if unseen:
        log.warning("%d classes have no training row: %s", len(unseen), ", ".join(unseen))


def _warn_of_recurring_tests(examples: Examples) -> None:
    """Compared without case and white space, as a copied text often differs in them alone."""
    test = _numbers(examples.test, "loose_id")
    for name in ("train", "unlabelled"):
        recurring = np.isin(test, _numbers(getattr(examples, name), "loose_id")).sum()
        if recurring:
            log.warning("%d of %d test rows recur in the %s rows: the test score flatters", recurring, len(test), name)


def _content(rows: Dataset) -> str:
    return fingerprint.of_arrays(part for name in ("id", "label") for part in content(rows, name))
