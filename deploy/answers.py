"""Rows with what a student says of them, as text: one way for each kind of file."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
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
    """

    def __init__(self, task: Task, every: bool):
        self.between = between(task)
        probabilities = [PROBABILITY, *(task.columns if every else ())] if task.columns else []
        self.own = [PREDICTION, *probabilities, ERROR]
        self.fields: list[str] = []

    def __call__(self, window: Window) -> str:
        out, begins = io.StringIO(), not self.fields
        self.fields = self.fields or self._fields(window)
        writer = csv.DictWriter(out, self.fields, restval="", extrasaction="ignore", lineterminator="\n")
        if begins:
            writer.writeheader()
        for item, answer in window:
            said = answer and {**answer.probabilities, PREDICTION: answer.prediction, PROBABILITY: answer.probability}
            own = {name: in_words(value, self.between) for name, value in (said or {}).items()}
            writer.writerow({name: _cell(value) for name, value in item.row.items()} | own | {ERROR: item.error})
        return out.getvalue()

    def _fields(self, window: Window) -> list[str]:
        first = next((item.row for item, _ in window if item.row), {})
        return [*(name for name in first if name not in self.own), *self.own]


def as_jsonl(task: Task, every: bool, window: Window) -> str:
    """An object a line: the row's own columns and those of the answer."""

    def said(answer: Answer | None) -> Iterator[tuple[str, Any]]:
        yield PREDICTION, answer and answer.prediction
        if task.columns:
            yield PROBABILITY, answer and answer.probability
        if task.columns and every:
            yield "probabilities", answer and answer.probabilities

    rows = ({**item.row, **dict(said(answer)), ERROR: item.error or None} for item, answer in window)
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def as_conll(window: Window) -> str:
    """A word and its tag a line, an empty line behind each text; what is wrong with one stands there as a comment."""
    return "".join(f"{_sentence(item, answer)}\n\n" for item, answer in window)


def _sentence(item: Item, answer: Answer | None) -> str:
    if answer is None or not isinstance(answer.prediction, list):
        return f"# {item.error}"
    return "\n".join(map("\t".join, zip(item.picked["text"].split(), answer.prediction, strict=True)))


def as_lines(task: Task, window: Window) -> str:
    """For a person: what is said, how probable it is, and of what, with tabs between."""
    rows = [(answer.prediction, answer.probability, *item.row.values()) for item, answer in window if answer]
    return "".join("\t".join(in_words(v, between(task)) for v in row if v is not None) + "\n" for row in rows)


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
