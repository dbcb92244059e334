"""Asking a teacher once for every example that its store lacks."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric.utilities.apply_func import move_data_to_device
from torch import Tensor
from tqdm import tqdm

from data.columns import pieces
from kd.store import ragged
from kd.store.store import Store
from models.output import LOGITS, Field, Fields, ModelOutput
from potstill.errors import UserError

SHARD_BYTES = 2**27
SHARD_SECONDS = 60.0


class Rows(Protocol):
    """What is filled from: `data.batches.EncodedExamples`."""

    ids: Any

    def __len__(self) -> int: ...
    def lengths(self, rows: np.ndarray, tokenizer: str | None = None) -> np.ndarray: ...
    def __getitems__(self, rows: Sequence[int]) -> dict[str, Any]: ...


class Teacher(Protocol):
    """Who is asked: `kd.signals.LiveTeacher`."""

    def __call__(self, batch: Mapping[str, Any]) -> ModelOutput: ...


@dataclass
class Block:
    """Rows of a column that wait to be written: a tensor a batch, as one a row would be larger than its numbers."""

    shape: ragged.Shape
    ids: list[np.ndarray] = field(default_factory=list)
    sizes: list[np.ndarray] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)


class Writer:
    """Gathers rows and writes them as shards: of some size, but at least one a minute, so that little can be lost."""

    def __init__(self, store: Store):
        self.store = store
        self._clear()

    def add(
        self, key: Field, ids: np.ndarray, lengths: Sequence[int], values: Tensor, positions: tuple[int, ...]
    ) -> None:
        """Take the field's values `[B, …]` for these ids; some of its dimensions count positions."""
        for name, part in self.store.columns_of(key, values, positions).items():
            shape, rows = ragged.cut(part.cpu(), positions, lengths)
            block = self._blocks.setdefault(name, Block(shape))
            block.ids.append(ids)
            block.sizes.append(np.array([len(row) for row in rows]))
            block.values.append(torch.cat(rows))
            check_finite(key, block)
            self._bytes += block.values[-1].nbytes
        if self._bytes >= SHARD_BYTES or time.monotonic() - self._since >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what there is."""
        for name, block in self._blocks.items():
            ids, sizes = np.concatenate(block.ids), np.concatenate(block.sizes)
            self.store.column(name).append(ids, sizes, torch.cat(block.values), block.shape)
        self._clear()

    def _clear(self) -> None:
        self._blocks: dict[str, Block] = {}
        self._bytes, self._since = 0, time.monotonic()


def check_finite(key: Field, block: Block) -> None:
    """Refuse numbers that cannot be kept, in what was added last.

    Raises:
        UserError: a row has one; the line names the row's id.
    """
    values = block.values[-1]
    if values.is_floating_point() and not (finite := values.isfinite()).all():
        row = np.searchsorted(block.sizes[-1].cumsum(), int(finite.int().argmin()), side="right")
        raise UserError(
            f"store.dtype: {values.dtype} cannot hold numbers of the teacher's {key} of row {block.ids[-1][row]}; "
            "take store.dtype=float32, or store=off if the teacher itself gives none that are finite"
        )


def fill(
    store: Store,
    teacher: Teacher,
    examples: Rows,
    tokenizer: str,
    fields: Fields,
    device: torch.device,
    share: tuple[int, int] = (0, 1),
    bar: bool = False,
) -> None:
    """Compute what the store lacks, in batches of about the same length, the longest first.

    The teacher runs in full precision. Only fields that a row lacks are written.

    Args:
        store: opened and checked.
        teacher: gives at least the fields.
        examples: the rows.
        tokenizer: fingerprint of the teacher's.
        fields: to keep.
        device: where the teacher runs.
        share: rank and number of ranks; each takes its part of the batches.
        bar: show progress.
    """
    writer, tokens = Writer(store), store.settings.tokens_at_once(device)
    about: dict[str, Any] = {"desc": "asking the teacher", "unit": "row", "leave": False, "dynamic_ncols": True}
    with tqdm(total=len(examples), disable=not bar, **about) as progress:
        for rows in pieces(len(examples)):
            lacking = lacking_rows(store, examples, fields, rows)
            progress.update(len(rows) - len(lacking))
            for number, batch in enumerate(token_batches(examples, lacking, tokenizer, tokens)):
                if number % share[1] == share[0]:
                    _ask(store, teacher, examples.__getitems__(batch.tolist()), tokenizer, fields, device, writer)
                progress.update(len(batch))
    writer.flush()


def lacking_rows(store: Store, examples: Rows, fields: Fields, rows: np.ndarray) -> np.ndarray:
    """Those of the rows that lack a field; of rows with the same text only one."""
    lacking = rows[store.missing_any(fields, examples.ids[rows])]
    _, first = np.unique(examples.ids[lacking], return_index=True)
    return lacking[first]


def token_batches(examples: Rows, rows: np.ndarray, tokenizer: str, tokens: int) -> Iterator[np.ndarray]:
    """The rows from long to short, as many at a time as fit into so many tokens, padding counted; at least one."""
    lengths = examples.lengths(rows, tokenizer)
    order = np.argsort(-lengths, kind="stable")
    rows, lengths = rows[order], lengths[order]
    while len(rows):
        count = max(1, tokens // max(1, int(lengths[0])))
        yield rows[:count]
        rows, lengths = rows[count:], lengths[count:]


def seconds_estimated(teacher: Teacher, examples: Rows, tokenizer: str, tokens: int, device: torch.device) -> float:
    """Seconds for all rows, from one batch of ordinary length after one to warm up."""
    some = np.linspace(0, len(examples) - 1, min(len(examples), 1000)).astype(np.int64)
    batches = list(token_batches(examples, np.unique(some), tokenizer, tokens))
    batch = batches[len(batches) // 2].tolist()
    with torch.inference_mode():
        for _ in range(2):
            start = time.monotonic()
            teacher(move_data_to_device(examples.__getitems__(batch), device)).logits.cpu()
    return (time.monotonic() - start) / len(batch) * len(examples)


def _ask(
    store: Store,
    teacher: Teacher,
    batch: dict[str, Any],
    tokenizer: str,
    fields: Fields,
    device: torch.device,
    writer: Writer,
) -> None:
    ids, encoding = batch["id"].numpy(), batch["encodings"][tokenizer]
    tokens = encoding["attention_mask"].sum(1)
    with torch.inference_mode():
        output = teacher(move_data_to_device(batch, device))
    for key in sorted(fields):
        positions = output.sequence_dimensions(key)
        lengths = encoding["words"].amax(1) + 1 if key == LOGITS and positions else tokens
        if len(lacking := np.nonzero(store.missing(key, ids))[0]):
            values = output[key][torch.from_numpy(lacking)]
            writer.add(key, ids[lacking], lengths[lacking].tolist(), values, positions)
