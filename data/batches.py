"""Which examples share a batch, and how they are put into tensors."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import islice
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from data.columns import Lists, Numbers, column, pieces
from data.permutation import permuted
from data.task import IGNORED
from data.tokenization import KEPT, PART
from data.words import NONE, WORD_COUNT, WORDS

Batch = dict[str, Any]
Lengths = Callable[[np.ndarray], np.ndarray]


class LengthGroupedBatches(Sampler[list[int]]):
    """Batches of examples of about the same length, in an order that depends on seed and epoch alone.

    The examples are shuffled, parted into pools of `pool` batches, sorted by length within a pool, cut into
    batches, and the batches of a pool shuffled again: no more than a pool is ever held. Under several ranks
    each takes its share of the same batches; what does not divide by their number is left for another epoch.

    Args:
        lengths: gives the tokens of rows.
        rows: how many there are.
        batch_size: examples a batch.
        seed: of the order.
        rank, world_size: which share to give.
        pool: batches that are sorted together; larger wastes less on padding and mixes less.
    """

    def __init__(
        self,
        lengths: Lengths,
        rows: int,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        pool: int = 50,
    ):
        self.lengths, self.rows, self.batch_size, self.seed, self.pool = lengths, rows, batch_size, seed, pool
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.skip = 0

    def __len__(self) -> int:
        return -(-self.rows // self.batch_size) // self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of this epoch, less the `skip` first ones, which an interrupted run has had."""
        mine = islice(self._batches(self.epoch), self.rank, len(self) * self.world_size, self.world_size)
        skip, self.skip = self.skip, 0
        self.epoch += 1
        yield from islice(mine, skip, None)

    def _batches(self, epoch: int) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, epoch))
        for positions in pieces(self.rows, self.batch_size * self.pool):
            pool = permuted(positions, self.rows, (self.seed, epoch))
            pool = pool[np.argsort(self.lengths(pool), kind="stable")]
            starts = range(0, len(pool), self.batch_size)
            batches = [pool[start : start + self.batch_size].tolist() for start in starts]
            yield from (batches[number] for number in random.permutation(len(batches)))


class EncodedExamples(TorchDataset):
    """Examples with their encodings by every tokenizer in use, fetched a batch at a time.

    A batch has `id` `[B]`, `labels` `[B]`, `[B, C]` or `[B, words]`, and `encodings`: tensors `[B, S]` by tokenizer
    fingerprint. Where the tables tell words, an encoding has the `words` of its tokens, and their `word_count` in the
    longest text; where they tell parts, the `choices` of each row.

    Args:
        encodings: tokenizer fingerprint -> table of that tokenizer's columns, with `id`, `label` and `length`;
            all tables have the same rows in the same order.
        padding: tokenizer fingerprint -> id of its padding token.
        choices: which classes there are for a row of each part, `[P, C]`; see `data.task.Task`.

    Attributes:
        extras: what else belongs into a batch: name -> function of the batch so far.
    """

    def __init__(self, encodings: Mapping[str, Dataset], padding: Mapping[str, int], choices: np.ndarray | None = None):
        any_table = next(iter(encodings.values()))
        self.ids, self.labels = Numbers(any_table, "id"), column(any_table, "label")
        self._lengths = {key: Numbers(table, "length") for key, table in encodings.items()}
        self.tokens = {
            key: {name: Lists(table, name) for name in table.column_names if name not in (*KEPT, "length")}
            for key, table in encodings.items()
        }
        self.padding, self.choices = dict(padding), choices
        self.parts = None if choices is None else Numbers(any_table, PART)
        self.extras: dict[str, Callable[[Batch], Any]] = {}

    def __len__(self) -> int:
        return len(self.ids)

    def lengths(self, rows: Sequence[int] | np.ndarray, tokenizer: str | None = None) -> np.ndarray:
        """Tokens of rows by one tokenizer; by that which makes most of them where none is named."""
        if tokenizer is not None:
            return self._lengths[tokenizer][rows]
        return np.max([numbers[rows] for numbers in self._lengths.values()], axis=0)

    def __getitems__(self, rows: Sequence[int]) -> Batch:
        encodings: dict[str, dict[str, Any]] = {key: self._encoding(key, rows) for key in self.tokens}
        with_words = [encoding for encoding in encodings.values() if WORDS in encoding]
        count = 1 + max((int(encoding[WORDS].max()) for encoding in with_words), default=NONE)
        for encoding in with_words:
            encoding[WORD_COUNT] = max(count, 1)
        batch: Batch = {"id": torch.from_numpy(self.ids[rows]), "encodings": encodings}
        batch["labels"] = torch.from_numpy(self._labels_of(rows, [encoding[WORDS] for encoding in with_words]))
        for name, extra in self.extras.items():
            batch[name] = extra(batch)
        return batch

    def _labels_of(self, rows: Sequence[int], words: Sequence[Tensor]) -> np.ndarray:
        """Labels by row, or by row and word: those of words of which a tokenizer has no piece do not count."""
        labels = self.labels[rows]
        if isinstance(labels, np.ndarray):
            return labels
        by_word = np.full((len(labels), max(1, 1 + max(int(some.max()) for some in words))), IGNORED, dtype=np.int64)
        for number, row in enumerate(labels):
            seen = [some[number][some[number] != NONE].numpy() for some in words]
            common = reduce(np.intersect1d, seen)
            common = common[common < len(row)]
            by_word[number, common] = row[common]
        return by_word

    def _encoding(self, key: str, rows: Sequence[int]) -> dict[str, Any]:
        tensors = pad({name: lists[rows] for name, lists in self.tokens[key].items()}, self.padding[key])
        if self.parts is None or self.choices is None:
            return dict(tensors)
        return {**tensors, "choices": torch.from_numpy(self.choices[self.parts[rows]])}


def pad(columns: Mapping[str, Sequence[np.ndarray]], padding_id: int) -> dict[str, Tensor]:
    """Token columns as `[B, S]` tensors, S the longest row's length, with their `attention_mask`."""
    lengths = np.array([len(row) for row in columns["input_ids"]])
    mask = np.arange(lengths.max()) < lengths[:, None]
    padding = {"input_ids": padding_id, WORDS: NONE}
    tensors = {name: torch.from_numpy(_padded(rows, mask, padding.get(name, 0))) for name, rows in columns.items()}
    return tensors | {"attention_mask": torch.from_numpy(mask.astype(np.int64))}


def _padded(rows: Sequence[np.ndarray], mask: np.ndarray, padding: int) -> np.ndarray:
    padded = np.full(mask.shape, padding, dtype=np.int64)
    padded[mask] = np.concatenate(rows)
    return padded
