"""The task of putting a tag on every word of a text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from datasets import Dataset, List, Value
from seqeval.metrics import f1_score
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from data.classification import class_names
from data.task import IGNORED, OfRows, items
from data.words import Numbering, word_numbers

UNSEEN = "_"  # for a word of which the network has no piece
END = -1  # of a text, where those of a data set stand one behind the other


@dataclass(frozen=True)
class Tagging(OfRows):
    """One tag a word: cross-entropy at the first piece of each word.

    The words of a text are what stands between white space; a row's tags are a list, or a text with white space
    between them.

    Args:
        labels: the tags in order of their index.
        metric: `f1` of entities, where tags begin with B-, as seqeval counts them; `accuracy` of words.
    """

    name: ClassVar[str] = "tagging"
    problem: ClassVar[str] = "token_classification"
    missing: ClassVar[Any] = ()

    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        return class_names((tag for tags in found for tag in split_up(tags) or ()), given, least=2)

    @property
    def words(self) -> Numbering:
        return word_numbers

    @property
    def feature(self) -> Any:
        return List(Value("int64"))

    def encode(self, label: str, text: str) -> list[int] | None:
        numbers = [self.numbers.get(tag) for tag in split_up(label) or ()]
        return numbers if None not in numbers and len(numbers) == len(text.split()) else None  # type: ignore[return-value]

    def complaint(self, label: str, text: str) -> tuple[str, str]:
        tags, words = split_up(label), text.split()
        if tags is None:
            return f"{label!r} is no list", "write JSON, or tags with white space between them"
        if len(tags) != len(words):
            return f"{len(tags)} tags for {len(words)} words", "each word has one"
        return super().complaint(next(tag for tag in tags if tag not in self.numbers), text)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over tagged words, times the share of texts that have tags.

        Args:
            logits: `[B, words, C]`.
            labels: `[B, words]`.
        """
        return loss_of_words(logits, labels)

    @property
    def usual(self) -> str:
        return "f1" if self._has_entities else "accuracy"

    def metrics(self, rows: Dataset | None = None, **options: Any) -> MetricCollection:
        counts: dict[str, Any] = {"f1": EntityF1(self.labels, **options)} if self._has_entities else {}
        accuracy = MulticlassAccuracy(len(self.labels), average="micro", ignore_index=IGNORED, **options)
        return MetricCollection(counts | {"accuracy": accuracy})

    @property
    def _has_entities(self) -> bool:
        return any(label.startswith("B-") for label in self.labels)

    def predictions(self, logits: Tensor) -> Tensor:
        return logits.argmax(-1)

    @property
    def columns(self) -> Sequence[str]:
        return ()

    def readable(self, predictions: Tensor, labels: Tensor) -> Tensor:
        return predictions.masked_fill(labels == IGNORED, IGNORED)

    def line(self, label: list[int], prediction: Tensor) -> list[str]:
        said = prediction[: len(label)].tolist()
        both = label, said + [IGNORED] * (len(label) - len(said))
        return [" ".join(UNSEEN if n == IGNORED else self.labels[n] for n in numbers) for numbers in both]


class EntityF1(Metric):
    """F1 of whole entities: of type and both ends (seqeval, as CoNLL's script counts).

    Args:
        labels: the tags, BIO or IOBES.
        options: of any metric.
    """

    full_state_update = False
    higher_is_better = True
    said: list[Tensor]
    true: list[Tensor]

    def __init__(self, labels: Sequence[str], **options: Any):
        super().__init__(**options)
        self.labels = tuple(labels)
        self.add_state("said", default=[], dist_reduce_fx="cat")
        self.add_state("true", default=[], dist_reduce_fx="cat")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Take `[B, words]` classes; words without label do not count."""
        end = labels.new_full((len(labels), 1), END)
        known = torch.cat([labels != IGNORED, end == END], 1)
        self.said.append(torch.cat([predictions, end], 1)[known])
        self.true.append(torch.cat([labels, end], 1)[known])

    def compute(self) -> Tensor:
        true, said = (self._texts(states) for states in (self.true, self.said))
        return torch.tensor(float(f1_score(true, said, zero_division=0)), device=self.device)

    def _texts(self, states: list[Tensor] | Tensor) -> list[list[str]]:
        texts: list[list[str]] = [[]]
        for number in (torch.cat(states) if isinstance(states, list) else states).tolist():
            if number == END:
                texts.append([])
            else:
                texts[-1].append(self.labels[number])
        return texts[:-1]


def loss_of_words(logits: Tensor, labels: Tensor) -> Tensor:
    """The mean cross-entropy over labelled words, times the share of texts that have some.

    Args:
        logits: `[B, words, C]`.
        labels: `[B, words]`.
    """
    known = labels != IGNORED
    costs = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return costs / known.sum().clamp(min=1) * known.any(1).float().mean()


def split_up(tags: str) -> list[str] | None:
    """The tags of a row; None where they are not to be understood."""
    return items(tags) if tags.startswith("[") else tags.split()
