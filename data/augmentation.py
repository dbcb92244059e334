"""New texts out of the labelled training rows, for the transfer set; the teacher tells what they mean."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, Features, concatenate_datasets

from data.columns import Numbers
from data.examples import TEXTS, Examples
from data.sources import hashes
from data.task import OfRows, Task
from potstill import fingerprint
from potstill.errors import UserError, check_counts

Vary = Callable[[np.random.Generator], str]


@dataclass(frozen=True)
class Augmentation(ABC):
    """Makes variants of texts; which ones follows from seed and text alone.

    Args:
        copies: variants that are tried of each row; those that say nothing new are left out.
        seed: of chance.

    Attributes:
        turns: of a pair, the texts that are varied in the first, the second … copy, and so on in turn.
        counted: names of the settings that are whole numbers above 0.
    """

    copies: int = 20
    seed: int = 1

    turns: ClassVar[Sequence[Sequence[int]]]
    counted: ClassVar[Sequence[str]] = ("copies",)

    def __post_init__(self) -> None:
        check_counts("data.augmentation", self, self.counted)
        if not isinstance(self.seed, int) or self.seed < 0:
            raise UserError(f"data.augmentation.seed: {self.seed!r} is not a whole number from 0 on")

    def state(self) -> str:
        """Name of what decides its variants beside its settings, such as the content of files that they name."""
        return ""

    @abstractmethod
    def learnt(self, texts: Iterable[str]) -> Callable[[str], Vary]:
        """What makes variants of a text, after it has seen all texts."""


def augmented(examples: Examples, task: Task, how: Augmentation) -> Examples:
    """The examples with variants of the labelled training rows among the unlabelled ones.

    None is a text of another row, whatever its split, compared without case and white space.

    Raises:
        UserError: the task has more than an answer a row.
    """
    if not isinstance(task, OfRows):
        raise UserError(f"data/augmentation: texts of {task.name} cannot be varied; leave it out")
    rows = examples.train
    names = [name for name in TEXTS if name in rows.column_names]

    @cache
    def vary() -> Callable[[str], Vary]:  # what is found in the cache need not be learnt
        return how.learnt(text for batch in rows.iter(batch_size=1000) for name in names for text in batch[name])

    kept = {name: rows.features[name] for name in (*names, "where", "id", "loose_id", "label")}
    made = rows.map(
        lambda batch: _variants(batch, names, vary(), how, task.missing),
        batched=True,
        batch_size=100,
        remove_columns=rows.column_names,
        features=Features(kept),
        new_fingerprint=fingerprint.of_value([rows._fingerprint, type(how).__name__, asdict(how), how.state()]),
    )
    new = made.select(_first_of_their_kind(made, examples)) if len(made) else made
    note = f"{len(new):,} variants of labelled rows join the transfer set (data.augmentation)"
    if len(examples.unlabelled):
        new = concatenate_datasets([examples.unlabelled.select_columns(new.column_names), new])
    return replace(examples, unlabelled=new, notes=(*examples.notes, note))


def _variants(
    batch: Mapping[str, list[Any]],
    names: Sequence[str],
    vary: Callable[[str], Vary],
    how: Augmentation,
    missing: Any,
) -> dict[str, list[Any]]:
    """All copies of a batch of rows."""
    rows: list[dict[str, Any]] = []
    for number, where, *texts in zip(*(batch[name] for name in ("id", "where", *names)), strict=True):
        for varied in _copies(texts, [vary(text) for text in texts], how, number):
            rows.append(dict(zip(names, varied, strict=True)) | hashes(varied) | {"where": where, "label": missing})
    return {name: [row[name] for row in rows] for name in (*names, "where", "id", "loose_id", "label")}


def _copies(texts: Sequence[str], vary: Sequence[Vary], how: Augmentation, number: int) -> Iterator[list[str]]:
    draw = np.random.default_rng([how.seed, number])
    for copy in range(how.copies):
        turn = how.turns[copy % len(how.turns)] if len(texts) > 1 else (0,)
        yield [make(draw) if side in turn else text for side, (text, make) in enumerate(zip(texts, vary, strict=True))]


def _first_of_their_kind(made: Dataset, examples: Examples) -> np.ndarray:
    """The variants that are no text of the data, and not that of a variant before them; nothing is left of some."""
    loose = Numbers(made, "loose_id")[range(len(made))]
    splits = (examples.train, examples.unlabelled, examples.validation, examples.test)
    known = np.concatenate([Numbers(rows, "loose_id")[range(len(rows))] for rows in splits])
    _, first = np.unique(loose, return_index=True)
    return np.sort(first[~np.isin(loose[first], known)])
