"""Rows with what a student says of them, as text: one way for each kind of file."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from data.multi_label import SEPARATOR
from data.tagging import Tagging
from data.task import Task
from deploy.predict import Answer, Item
from potstill.errors import UserError

Window = Sequence[tuple[Item, Answer | None]]
Render = Callable[[Window], str]
PREDICTION, PROBABILITY, ERROR = "prediction", "probability", "error"


def renderer(path: Path, task: Task, every: bool) -> Render:
    """What makes text for a file out of one window after the other.

    Args:
        path: of the file.
        task: what was predicted.
        every: tell the probability of every class or label, too.

    Raises:
        UserError: there is no such kind of file, or not for this task.
    """
    kinds: dict[str, Render] = {".csv": Csv(task, every), ".jsonl": partial(as_jsonl, task, every)}
    if isinstance(task, Tagging):
        kinds[".conll"] = as_conll
    if path.suffix not in kinds:
        raise UserError(f"--out: {path}: answers of {task.name} are written as {', '.join(kinds)}")
    return kinds[path.suffix]


class Csv:
    """A table: the columns of the first row, then those of the answer, then `error`; a line of names comes first.

    Lists are written as predictions.csv has them: labels with | between them, tags with spaces.

    Raises:
        UserError: a row has a column of the answer, or one that the first row lacks, or a class is called as one.
    """

    def __init__(self, task: Task, every: bool):
        self.between = between(task)
        probabilities = [PROBABILITY, *(task.columns if every else ())] if task.columns else []
        self.own = [PREDICTION, *probabilities, ERROR]
        if taken := {PREDICTION, PROBABILITY, ERROR}.intersection(probabilities[1:]):
            raise UserError(f"--every: a class is called {taken.pop()!r}, as a column of csv files is; write a .jsonl")
        self.fields: list[str] = []

    def __call__(self, window: Window) -> str:
        out, begins = io.StringIO(), not self.fields
        self.fields = self.fields or self._fields(window)
        writer = csv.DictWriter(out, self.fields, restval="", lineterminator="\n")
        if begins:
            writer.writeheader()
        writer.writerows(self._row(item, answer) for item, answer in window)
        return out.getvalue()

    def _fields(self, window: Window) -> list[str]:
        first = next((item.row for item, _ in window if item.row), {})
        return [*first, *self.own]

    def _row(self, item: Item, answer: Answer | None) -> dict[str, Any]:
        check_names(item, self.own)
        if further := [name for name in item.row if name not in self.fields]:
            raise UserError(f"{_place(item)}: the first row has no column {further[0]!r}; say --out with a .jsonl file")
        said = answer and {**answer.probabilities, PREDICTION: answer.prediction, PROBABILITY: answer.probability}
        own = {name: in_words(said[name], self.between) for name in self.own[:-1]} if said else {}
        return {name: _cell(value) for name, value in item.row.items()} | own | {ERROR: item.error}


def check_names(item: Item, own: Iterable[str]) -> None:
    """Refuse a row with a column of the answer.

    Raises:
        UserError: the line names it.
    """
    if taken := [name for name in own if name in item.row]:
        raise UserError(f"{_place(item)}: the answer is to stand in column {taken[0]!r}; rename that of the row")


def _place(item: Item) -> str:
    return item.picked.get("where") or "a row"


def as_jsonl(task: Task, every: bool, window: Window) -> str:
    """An object a line: the row's own columns and those of the answer."""

    def said(answer: Answer | None) -> Iterator[tuple[str, Any]]:
        yield PREDICTION, answer and answer.prediction
        if task.columns:
            yield PROBABILITY, answer and answer.probability
        if task.columns and every:
            yield "probabilities", answer and answer.probabilities

    def line(item: Item, answer: Answer | None) -> str:
        own = {**dict(said(answer)), ERROR: item.error or None}
        check_names(item, own)
        return json.dumps({**item.row, **own}, ensure_ascii=False, default=str) + "\n"

    return "".join(line(item, answer) for item, answer in window)


def as_conll(window: Window) -> str:
    """A word and its tag a line, an empty line behind each text; what is wrong with one stands there as a comment."""
    return "".join(f"{_sentence(item, answer)}\n\n" for item, answer in window)


def _sentence(item: Item, answer: Answer | None) -> str:
    if answer is None or not isinstance(answer.prediction, list):
        return f"# {item.error}"
    return "\n".join(map("\t".join, zip(item.picked["text"].split(), answer.prediction, strict=True)))


def as_lines(task: Task, every: bool, window: Window) -> str:
    """For a person: what is said, how probable it is, of what, and every probability, with tabs between."""

    def line(item: Item, answer: Answer) -> str:
        each = [f"{name}={value:.7f}" for name, value in answer.probabilities.items()] if every else []
        row = [answer.prediction, answer.probability, *item.row.values(), *each]
        return "\t".join(in_words(value, between(task)) for value in row if value is not None) + "\n"

    return "".join(line(item, answer) for item, answer in window if answer)


def between(task: Task) -> str:
    """What stands between the entries of a list."""
    return " " if isinstance(task, Tagging) else SEPARATOR


def in_words(value: Any, between: str) -> str:
    """A part of an answer as predictions.csv has it."""
    if isinstance(value, list):
        return between.join(in_words(entry, between) for entry in value)
    return f"{value:.7f}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else value
