"""Columns of a table on disk, a row at a time, without reading or copying the rest."""

from collections.abc import Iterator, Sequence

import datasets
import numpy as np
import pyarrow as pa
from datasets import Dataset

CHUNK = 65_536


def content(table: Dataset, name: str) -> list[np.ndarray]:
    """All that is in a column, as arrays."""
    found = column(table, name)[np.arange(len(table))]
    return [found] if isinstance(found, np.ndarray) else [np.array(list(map(len, found))), *found]


def column(table: Dataset, name: str) -> "Numbers | Vectors | Lists":
    """A column of numbers, of lists of one length, or of lists of any."""
    feature = table.features[name]
    if not isinstance(feature, datasets.List):
        return Numbers(table, name)
    return Lists(table, name) if feature.length < 0 else Vectors(table, name)


class Numbers:
    """A column of numbers.

    Args:
        table: as `datasets` maps it from disk.
        name: of the column.
    """

    def __init__(self, table: Dataset, name: str):
        chunks = _chunks(table, name)
        self._starts = _starts(chunks)
        self._chunks = [chunk.to_numpy() for chunk in chunks]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        kind = self._chunks[0].dtype if self._chunks else np.dtype(np.int64)
        return np.fromiter((self._chunks[chunk][row] for chunk, row in _places(self._starts, rows)), kind, len(rows))


class Lists:
    """A column of lists of whole numbers; arguments as for `Numbers`."""

    def __init__(self, table: Dataset, name: str):
        chunks = _chunks(table, name)
        self._starts = _starts(chunks)
        self._offsets = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values = [chunk.values.to_numpy() for chunk in chunks]

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> list[np.ndarray]:
        return [self._row(chunk, row) for chunk, row in _places(self._starts, rows)]

    def _row(self, chunk: int, row: int) -> np.ndarray:
        start, stop = self._offsets[chunk][row : row + 2]
        return self._values[chunk][start:stop]


class Vectors:
    """A column of lists of whole numbers that all have the same length; arguments as for `Numbers`."""

    def __init__(self, table: Dataset, name: str):
        chunks, length = _chunks(table, name), table.features[name].length
        self._starts = _starts(chunks)
        self._chunks = [chunk.flatten().to_numpy().reshape(-1, length) for chunk in chunks]

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        return np.array([self._chunks[chunk][row] for chunk, row in _places(self._starts, rows)])


def pieces(size: int, step: int = CHUNK) -> Iterator[np.ndarray]:
    """The numbers from 0 to `size` - 1, so many at a time."""
    for start in range(0, size, step):
        yield np.arange(start, min(start + step, size))


def _chunks(table: Dataset, name: str) -> list[pa.Array]:
    table = table if table._indices is None else table.flatten_indices()
    return table.data.column(name).chunks


def _starts(chunks: list[pa.Array]) -> np.ndarray:
    return np.cumsum([0, *(len(chunk) for chunk in chunks)])


def _places(starts: np.ndarray, rows: Sequence[int] | np.ndarray) -> Iterator[tuple[int, int]]:
    """Chunk and place in it of each row."""
    rows = np.asarray(rows)
    chunks = np.searchsorted(starts, rows, side="right") - 1
    return zip(chunks.tolist(), (rows - starts[chunks]).tolist(), strict=True)
