"""The task of guessing masked words, by which encoders are pretrained."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, Features, List, Value
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.text import Perplexity
from transformers import PreTrainedTokenizerFast

from data.sources import id_of
from data.tagging import loss_of_words
from data.task import IGNORED, Task
from data.words import NONE, WORDS, Numbering, word_numbers
from potstill import fingerprint
from potstill.errors import UserError

MASKED, RANDOM = 0.8, 0.1  # shares of the chosen tokens that become a mask or another token; the others stay


@dataclass(frozen=True)
class MaskedLM(Task):
    """Masked words: cross-entropy over the vocabulary at each.

    Paper: Devlin et al., "BERT", 2018, arXiv 1810.04805: of the chosen tokens 80 % become a mask, 10 % another token,
    10 % stay. Which ones are chosen depends on a text alone, so that a teacher's answers can be stored. To have a text
    masked in another way in each of ten epochs, say `maskings=10` and train for one. Only networks with one tokenizer
    can guess the same words.

    Args:
        labels, metric: not to be given.
        block: words of a row: texts are joined, in their order, until they have as many, and longer ones parted; 0
            leaves every text alone.
        share: of the tokens that are chosen.
        whole_words: choose all tokens of a word or none.
        maskings: how often a training row recurs, masked in other places.
    """

    block: int = 90
    share: float = 0.15
    whole_words: bool = False
    maskings: int = 1

    name: ClassVar[str] = "masked_lm"
    problem: ClassVar[str] = "masked_lm"
    missing: ClassVar[Any] = ()
    needs_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for key, least in (("block", 0), ("maskings", 1)):
            if not isinstance(value := getattr(self, key), int) or value < least:
                raise UserError(f"data.task.{key}: {value!r} is not a whole number from {least} on")
        if not isinstance(self.share, int | float) or not 0 < self.share < 1:
            raise UserError(f"data.task.share: {self.share!r} is not a number between 0 and 1")
        if self.metric not in ("", self.usual):
            raise UserError(f"data.metric: {self.metric!r}: the score that is to rise is {self.usual}; leave it out")
        super().__post_init__()

    def names(self, found: Iterable[str], given: Sequence[str] | None) -> tuple[str, ...]:
        if given is not None:
            raise UserError("data.labels: masked words are no classes; leave it out")
        return ("word",)

    @property
    def words(self) -> Numbering:
        return word_numbers

    @property
    def words_per_token(self) -> float:
        return self.share

    @property
    def feature(self) -> Any:
        return List(Value("int64"))

    def prepared(self, rows: Dataset, split: str) -> Dataset:
        """Blocks of words; those of training rows as often as they are to be masked. A pair is two texts."""
        maskings = self.maskings if split in ("train", "unlabelled") else 1
        settings = [self.block, maskings, self.share, self.whole_words]
        return rows.map(
            partial(self._blocks, maskings),
            batched=True,
            batch_size=10_000,
            remove_columns=[name for name in rows.column_names if name == "text_pair"],
            features=Features({name: kind for name, kind in rows.features.items() if name != "text_pair"}),
            new_fingerprint=fingerprint.of_value([rows._fingerprint, self.name, settings]),
        )

    def _blocks(self, maskings: int, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {name: [] for name in batch if name != "text_pair"}
        sides = [batch[name] for name in ("text", "text_pair") if name in batch]
        texts = ((text, where) for *both, where in zip(*sides, batch["where"], strict=True) for text in both)
        for text, where in blocks(texts, self.block) if self.block else texts:
            for number in range(maskings):
                how = f"{number} {self.share} {self.whole_words}"
                row = {"text": text, "where": where, "id": id_of([text, how]), "loose_id": id_of([text])}
                for name, column in columns.items():
                    column.append(row.get(name))
        return columns

    def encode(self, label: str | None, text: str) -> tuple[()]:
        return ()

    def encoded(self, table: Dataset, tokenizer: PreTrainedTokenizerFast) -> Dataset:
        """The rows with some tokens masked: `words` says which masked one a token is, `label` what it was."""
        if tokenizer.mask_token_id is None:
            raise UserError("data/task=masked_lm: the tokenizer has no token that stands for a masked one")
        chooser = Chooser(self.share, self.whole_words, tokenizer.mask_token_id, len(tokenizer))
        settings = [self.share, self.whole_words, tokenizer.mask_token_id, len(tokenizer)]
        return table.map(
            chooser, batched=True, new_fingerprint=fingerprint.of_value([table._fingerprint, "masked", settings])
        )

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over masked words, times the share of texts that have some.

        Args:
            logits: `[B, masked, V]`.
            labels: `[B, masked]`.
        """
        return loss_of_words(logits, labels)

    @property
    def usual(self) -> str:
        return "accuracy"

    def metrics(self, rows: Dataset | None = None, **options: Any) -> MetricCollection:
        metrics: dict[str, Any] = {
            "accuracy": Accuracy(**options),
            "perplexity": Perplexity(ignore_index=IGNORED, **options),
        }
        return MetricCollection(metrics, compute_groups=False)

    def predictions(self, logits: Tensor) -> Tensor:
        return logits

    def readable(self, predictions: Tensor, labels: Tensor) -> Tensor:
        return labels.new_empty(len(labels), 0)

    def lines(self, rows: Dataset, predictions: Sequence[Tensor]) -> Iterator[list[Any]]:
        """None: which words are masked depends on the tokenizer."""
        yield from ()


class Accuracy(MeanMetric):
    """The share of masked words that are guessed, from logits `[B, masked, V]`."""

    def update(self, predictions: Tensor, labels: Tensor) -> None:  # type: ignore[override]
        """Take logits and true words `[B, masked]`, -100 where there is none."""
        right = predictions.argmax(-1) == labels
        super().update(right[labels != IGNORED].float())


class Chooser:
    """Masks the tokens of a batch of rows; what it does to one depends on its id alone.

    Args:
        share: of the tokens that are chosen; at least one is.
        whole_words: choose words with all their tokens.
        mask: id of the token that stands for a masked one.
        vocabulary: number of all tokens.
    """

    def __init__(self, share: float, whole_words: bool, mask: int, vocabulary: int):
        self.share, self.whole_words, self.mask, self.vocabulary = share, whole_words, mask, vocabulary

    def __call__(self, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        rows = zip(batch["id"], batch["input_ids"], batch[WORDS], strict=True)
        changed = [self._masked(number, np.array(ids), np.array(words)) for number, ids, words in rows]
        return {name: [row[number] for row in changed] for number, name in enumerate(("input_ids", WORDS, "label"))}

    def _masked(self, number: int, ids: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        draw = np.random.default_rng(number)
        units = words if self.whole_words else np.where(words == NONE, NONE, np.arange(len(words)))
        known = np.unique(units[units != NONE])
        count = min(len(known), max(1, round(self.share * len(known))))
        (chosen,) = np.nonzero(np.isin(units, draw.choice(known, count, replace=False)))
        place = np.full(len(ids), NONE, dtype=np.int64)
        place[chosen] = np.arange(len(chosen))
        fate, labels, ids = draw.random(len(chosen)), ids[chosen], ids.copy()
        ids[chosen[fate < MASKED]] = self.mask
        other = chosen[(fate >= MASKED) & (fate < MASKED + RANDOM)]
        ids[other] = draw.integers(0, self.vocabulary, len(other))
        return ids, place, labels


def blocks(texts: Iterable[tuple[str, str]], size: int) -> Iterator[tuple[str, str]]:
    """Texts of so many words, and where each begins; the last one may have fewer."""
    words: list[str] = []
    where = ""
    for text, place in texts:
        for word in text.split():
            where = where if words else place
            words.append(word)
            if len(words) == size:
                yield " ".join(words), where
                words = []
    if words:
        yield " ".join(words), where
