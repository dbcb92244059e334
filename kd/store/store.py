"""All that one teacher has said, by example id."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd.store import top
from kd.store.column import Column
from models.output import LOGITS, Field, Fields
from potstill import fingerprint
from potstill.errors import UserError

ABOUT, LOCK = "about.json", "lock"
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
CPU_TOKENS, GPU_TOKENS = 1024, 16_384  # 4,096 take a CPU a quarter more time


@dataclass(frozen=True)
class Settings:
    """Where and how teacher outputs are kept.

    Args:
        folder: of all stores.
        budget: gigabytes (10^9 bytes) that a run may need of a teacher; where it needs more, the teacher is asked
            anew in every step. 0 keeps nothing.
        dtype: `float16`, `bfloat16` or `float32`.
        top_k: of logits at each position, where there are more classes, only so many are kept, and the mass of
            the rest; logits of whole texts, and of spans, are kept whole.
        batch_tokens: tokens in a batch of the teacher's pass, padding counted; where not given, what keeps a device
            busy without leaving its caches.
    """

    folder: str
    budget: float = 20.0
    dtype: str = "float16"
    top_k: int = 256
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UserError(f"store.dtype: {self.dtype!r} is none of {', '.join(DTYPES)}")
        if not isinstance(self.folder, str) or not self.folder:
            raise UserError(f"store.folder: {self.folder!r} is no path of a folder")
        if isinstance(self.budget, bool) or not isinstance(self.budget, int | float) or not self.budget >= 0:
            raise UserError(f"store.budget: {self.budget!r} is not a number of gigabytes from 0 on")
        tokens = CPU_TOKENS if self.batch_tokens is None else self.batch_tokens
        for name, value in (("top_k", self.top_k), ("batch_tokens", tokens)):
            if not isinstance(value, int) or value < 1:
                raise UserError(f"store.{name}: {value!r} is not a whole number above 0")

    def tokens_at_once(self, device: torch.device) -> int:
        """Tokens in a batch of the teacher's pass on this device."""
        return self.batch_tokens or (CPU_TOKENS if device.type == "cpu" else GPU_TOKENS)


class Store:
    """The columns of one teacher at one tokenization.

    Args:
        settings: of all stores.
        key: what decides the teacher's outputs beside the example: weights, tokenizer, length.
        about: the same for a person to read.
    """

    def __init__(self, settings: Settings, key: object, about: Mapping[str, Any]):
        self.settings, self.about = settings, dict(about) | {"dtype": settings.dtype}
        self.folder = Path(settings.folder) / fingerprint.of_value([key, settings.dtype])
        self._top = top.column_names(settings.top_k)
        self._columns: dict[str, Column] = {}

    @property
    def dtype(self) -> torch.dtype:
        """In which numbers are kept."""
        return DTYPES[self.settings.dtype]

    def column(self, name: str) -> Column:
        """The column of a field, opened once."""
        if name not in self._columns:
            self._columns[name] = Column(self.folder / name)
        return self._columns[name]

    def missing(self, field: Field, ids: np.ndarray) -> np.ndarray:
        """Which of the ids have no value of the field, as an array of bool."""
        missing = self.column(str(field)).missing(ids)
        if field != LOGITS:
            return missing
        return missing & np.logical_or.reduce([self.column(name).missing(ids) for name in self._top.values()])

    def missing_any(self, fields: Iterable[Field], ids: np.ndarray) -> np.ndarray:
        """Which of the ids lack at least one of the fields."""
        return np.logical_or.reduce([self.missing(field, ids) for field in fields])

    def read(self, field: Field, ids: np.ndarray, lengths: Sequence[int], width: int) -> Tensor | top.Largest:
        """A field's values for these ids as a batch padded to `width` positions, or of logits what was kept."""
        if field != LOGITS or not len(self.column(self._top["rest"])):
            return self.column(str(field)).read(ids, lengths, width)
        return top.Largest(*(self.column(name).read(ids, lengths, width) for name in self._top.values()))

    def columns_of(self, field: Field, values: Tensor, positions: tuple[int, ...]) -> dict[str, Tensor]:
        """What is kept of a field's values `[B, …]`, of whose dimensions some count positions: numbers by column."""
        if field != LOGITS or positions != (1,) or values.shape[-1] <= self.settings.top_k:
            return {str(field): values.to(self.dtype)}
        largest, classes, rest = top.compress(values.float(), self.settings.top_k)
        kept = largest.to(self.dtype), classes, rest.to(self.dtype)
        return dict(zip(self._top.values(), kept, strict=True))

    def open(self, fields: Fields) -> None:
        """See what is there now."""
        for column in self._all(fields):
            column.open()

    def check(self, fields: Fields) -> list[Path]:
        """Verify the columns of the fields and renew their indices; gives the damaged shards, now set aside."""
        self._note_use()
        return [path for column in self._all(fields) for path in column.check()]

    def index(self, fields: Fields) -> None:
        """Let the columns of the fields find what was appended."""
        for column in self._all(fields):
            column.index()

    def _all(self, fields: Fields) -> list[Column]:
        names = [str(field) for field in fields] + (list(self._top.values()) if LOGITS in fields else [])
        return [self.column(name) for name in names]

    def _note_use(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / ABOUT
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(self.about | {"used": time.time()}, indent=2))
        unfinished.replace(path)
