"""What a saved student says of new texts, many or few, in their order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from data.batches import EncodedExamples
from data.classification import Classification
from data.multi_label import SEPARATOR, MultiLabel
from data.question_answering import QuestionAnswering
from data.regression import Regression
from data.sources import Columns
from data.tagging import Tagging
from data.task import Task
from data.tokenization import tokenize
from deploy import measure
from models.heads import MASKED, has_head
from models.network import Network
from models.transformer import load
from potstill import fingerprint
from potstill.errors import UserError

TASKS: dict[str, type[Task]] = {
    task.problem: task for task in (Classification, MultiLabel, Regression, Tagging, QuestionAnswering)
}
WINDOW = 4096  # rows that are held, and sorted by length, at once

Text = str | tuple[str, ...] | list[str]


@dataclass(frozen=True)
class Answer:
    """What a student says of a row.

    Args:
        prediction: the class, a list of labels, the number, a list with the tag of each word (`_` where the student
            has no piece of it), or the answer, which may be empty.
        probabilities: of each class or label, by name; none where the task has no such.
    """

    prediction: str | float | list[str]
    probabilities: Mapping[str, float]

    @property
    def probability(self) -> float | list[float] | None:
        """That of the class, or of each of the labels."""
        if isinstance(self.prediction, list):
            return [self.probabilities[label] for label in self.prediction] if self.probabilities else None
        return self.probabilities.get(str(self.prediction))


@dataclass(frozen=True)
class Item:
    """A row as it was read.

    Args:
        row: its own columns.
        picked: the columns that a source gives; none where there is an error.
        error: why nothing can be said of it.
    """

    row: Mapping[str, Any]
    picked: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""


class Predictor:
    """A saved student, ready to be asked.

    Args:
        run: a run folder, or a folder with a saved model.
        part: of a student of several data sets, the one whose classes are meant.
        columns: of the texts; those of the run where not given.
        batch_size: rows at once; the run's `data.eval_batch_size` where not given.
        device: such as `cpu` or `cuda:1`; a GPU where there is one.

    Raises:
        UserError: there is no student, or none that can be asked.
    """

    def __init__(
        self,
        run: str | Path,
        part: str | None = None,
        columns: Sequence[str] = (),
        batch_size: int | None = None,
        device: str | None = None,
    ):
        folder, data = student_of(Path(run))
        data = data_of_part(data, part)
        self.network = on_device(with_head(load(folder, part), folder), device)
        self.task = task_of(self.network, data)
        usual = ["question", "context"] if isinstance(self.task, QuestionAnswering) else ["text"]
        self.columns = Columns(list(columns) or data.get("text") or usual)
        self.max_length: int = data.get("max_length") or longest(self.network)
        self.batch_size: int = data.get("eval_batch_size", 32) if batch_size is None else batch_size
        if self.batch_size < 1:
            raise UserError(f"--batch-size: {self.batch_size} is not a whole number above 0")

    def __call__(self, texts: Iterable[Text]) -> Iterator[Answer]:
        """Answers in the order of the texts, which are taken up as they are needed, a few thousand at a time.

        Args:
            texts: strings, tuples of two for pairs, or lists of words.

        Raises:
            UserError: a text is empty, or there are two for one.
        """
        items = (self._checked(self.item(f"text {number}", text)) for number, text in enumerate(texts, start=1))
        for item, answer in chain.from_iterable(self.windows(items)):
            assert answer is not None, item
            yield answer

    @staticmethod
    def _checked(item: Item) -> Item:
        if item.error:
            raise UserError(item.error)
        return item

    def item(self, where: str, texts: Text) -> Item:
        """A text, or a pair of them, as a row."""
        some, names = texts if isinstance(texts, tuple) else (texts,), self.columns.texts
        if len(some) != len(names):
            reason = f"{len(some)} texts, where {len(names)} are needed ({', '.join(names)})"
            return Item(dict.fromkeys(names), error=f"{where}: {reason}")
        return self.picked(where, dict(zip(names, some, strict=True)))

    def picked(self, where: str, row: Mapping[str, Any]) -> Item:
        """A row with its texts found, or why there are none."""
        try:
            found = self.columns.pick(where, row, labelled=False)
        except UserError as error:
            return Item(row, error=str(error))
        texts = zip(self.columns.texts, ("text", "text_pair"), strict=False)
        if empty := [column for column, name in texts if not str(found[name]).strip()]:
            return Item(row, error=f"{where}: column {empty[0]!r} is empty")
        return Item(row, found)

    def windows(self, items: Iterable[Item]) -> Iterator[list[tuple[Item, Answer | None]]]:
        """Items with their answers, none where there is an error, some thousand at a time."""
        items = iter(items)
        while window := list(islice(items, WINDOW)):
            answers = iter(self._answers([item.picked for item in window if not item.error]))
            yield [(item, None if item.error else next(answers)) for item in window]

    def _answers(self, picked: Sequence[Mapping[str, Any]]) -> list[Answer]:
        if not picked:
            return []
        columns = {name: [row[name] for row in picked] for name in picked[0]}
        rows = self.task.prepared(Dataset.from_dict(columns, self.columns.features), "unlabelled")
        nothing = [placeholder(self.task, text) for text in rows["text"]]
        rows = rows.remove_columns("label").add_column("label", nothing, feature=self.task.feature)
        lines = self.task.lines(rows, self._said(rows))
        return [self._answer(said, numbers) for _, _, said, *numbers in lines]

    def _answer(self, said: str, numbers: Sequence[str]) -> Answer:
        prediction: str | float | list[str] = said
        match self.task:
            case Regression():
                prediction = float(said)
            case Tagging():
                prediction = said.split()
            case MultiLabel():
                prediction = [label for label in said.split(SEPARATOR) if label]
        return Answer(prediction, dict(zip(self.task.columns, map(float, numbers), strict=True)))

    def _said(self, rows: Dataset) -> list[Tensor]:
        """What a line is made of, for each row in their order; rows of about the same length are asked together."""
        tokenizer = self.network.tokenizer
        table = tokenize(rows, tokenizer, self.max_length, self.task.words)
        key, padding = fingerprint.of_tokenizer(tokenizer), int(tokenizer.pad_token_id or 0)
        examples = EncodedExamples({key: table}, {key: padding})
        order = np.argsort(-examples.lengths(np.arange(len(rows))), kind="stable").tolist()
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        said: dict[int, Tensor] = {}
        outputs = measure.predict(self.network, map(examples.__getitems__, batches))
        for numbers, (logits, batch) in zip(batches, outputs, strict=True):
            readable = self.task.readable(self.task.predictions(logits), batch["labels"])
            said.update(zip(numbers, readable, strict=True))
        return [said[number] for number in range(len(rows))]


def student_of(run: Path) -> tuple[Path, DictConfig]:
    """The folder of the saved model, and the `data` of the config that it was made by; nothing where there is none.

    Raises:
        UserError: there is no model.
    """
    folder = run / "student" if (run / "student").is_dir() else run
    config = (folder.parent if folder.name == "student" else folder) / "config.yaml"
    data = OmegaConf.load(config).data if config.is_file() else OmegaConf.create()
    if not (folder / "config.json").is_file():
        advice = f"go on with python train.py resume={run}" if data else "a run folder or a saved model is needed"
        raise UserError(f"{run}: no student there; {advice}")
    return folder, data


def data_of_part(data: DictConfig, part: str | None) -> DictConfig:
    """What a config says of its data, or of one of its data sets.

    Raises:
        UserError: it has several, and none of them is named.
    """
    parts = data.get("parts")
    if not parts:
        return data
    if part not in parts:
        raise UserError(f"--part: name the data set whose classes are meant, one of {', '.join(map(str, parts))}")
    settings = {name: data[name] for name in ("max_length", "eval_batch_size")}
    return OmegaConf.merge(parts[part], settings)  # type: ignore[return-value]


def with_head(network: Network, folder: Path) -> Network:
    """The network, where it has a trained head that says something of texts.

    Raises:
        UserError: it has none.
    """
    if network.spec.problem == MASKED:
        raise UserError(f"{folder}: it guesses masked words; ask it by pipeline('fill-mask') of transformers")
    if not has_head(network.model.config, network.spec.problem):
        raise UserError(f"{folder}: an encoder without trained head; there is nothing that it predicts")
    return network


def on_device(network: Network, device: str | None) -> Network:
    """The network where it is to run.

    Raises:
        UserError: there is no such device.
    """
    try:
        return network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {device}: {str(error).splitlines()[0]}") from error


def task_of(network: Network, data: DictConfig) -> Task:
    """What a network does with texts, by the settings of the run that made it."""
    settings = {str(key): value for key, value in data.get("task", {}).items() if key != "_target_"}
    task = TASKS[network.spec.problem]
    labels = [str(label) for _, label in sorted((network.model.config.id2label or {}).items())]
    return task(("start", "end") if task is QuestionAnswering else labels, **settings)


def longest(network: Network) -> int:
    """Tokens that a network reads at most, as far as it tells."""
    config, tokenizer = network.model.config, network.tokenizer
    return min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", 512))


def placeholder(task: Task, text: str) -> Any:
    """What stands for the label of a row where its prediction is made readable."""
    return [0] * len(text.split()) if isinstance(task, Tagging) else np.zeros_like(task.missing).tolist()
