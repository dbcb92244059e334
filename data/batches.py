"""Which examples share a batch, and how they are put into tensors."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

Batch = dict[str, Any]


class LengthGroupedBatches(Sampler[list[int]]):
    """Batches of examples of about the same length, in an order that depends on seed and epoch alone.

    The examples are shuffled, sorted by length within pools of `pool` batches, cut into batches, and
    the batches shuffled again. Under several ranks each takes its share of the same list; what does
    not divide by their number is left for another epoch.

    Args:
        lengths: tokens of each example.
        batch_size: examples a batch.
        seed: of the order.
        rank, world_size: which share to give.
        pool: batches that are sorted together; larger wastes less on padding and mixes less.
    """

    def __init__(
        self, lengths: np.ndarray, batch_size: int, seed: int, rank: int = 0, world_size: int = 1, pool: int = 50
    ):
        self.lengths, self.batch_size, self.seed, self.pool = lengths, batch_size, seed, pool
        self.rank, self.world_size = rank, world_size
        self.epoch = 0
        self.skip = 0

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size) // self.world_size

    def __iter__(self) -> Iterator[list[int]]:
        """The batches of this epoch, less the `skip` first ones, which an interrupted run has had."""
        mine = self._batches()[self.rank :: self.world_size][: len(self)]
        skip, self.skip = self.skip, 0
        self.epoch += 1
        yield from mine[skip:]

    def _batches(self) -> list[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = random.permutation(len(self.lengths))
        size = self.batch_size * self.pool
        pools = (order[start : start + size] for start in range(0, len(order), size))
        order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = [order[start : start + self.batch_size].tolist() for start in range(0, len(order), self.batch_size)]
        return [batches[number] for number in random.permutation(len(batches))]


class EncodedExamples(TorchDataset):
    """Examples with their encodings by every tokenizer in use, fetched a batch at a time.

    Args:
        rows: with `id` and `label`.
        encodings: tokenizer fingerprint -> table of that tokenizer's columns, in the order of `rows`.
        padding: tokenizer fingerprint -> id of its padding token.
    """

    def __init__(self, rows: Dataset, encodings: Mapping[str, Dataset], padding: Mapping[str, int]):
        self.rows = rows.select_columns(["id", "label"])
        self.encodings = dict(encodings)
        self.padding = dict(padding)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        rows = self.rows[list(indices)]
        return {
            "id": torch.tensor(rows["id"]),
            "labels": torch.tensor(rows["label"]),
            "encodings": {key: pad(table[list(indices)], self.padding[key]) for key, table in self.encodings.items()},
        }


def pad(columns: Mapping[str, list[Any]], padding_id: int) -> dict[str, Tensor]:
    """Token columns as `[B, S]` tensors, S the longest row's length, with their `attention_mask`."""
    lengths = torch.tensor([len(ids) for ids in columns["input_ids"]])
    tensors = {
        name: _padded(values, padding_id if name == "input_ids" else 0)
        for name, values in columns.items()
        if name != "length"
    }
    positions = torch.arange(tensors["input_ids"].shape[1])
    return tensors | {"attention_mask": (positions < lengths[:, None]).long()}


def _padded(values: list[list[int]], padding: int) -> Tensor:
    return pad_sequence([torch.tensor(row) for row in values], batch_first=True, padding_value=padding)
