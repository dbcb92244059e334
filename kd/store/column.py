"""One tensor that a teacher gives, by example id."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import xxhash
from torch import Tensor

from kd.store import files, ragged
from potstill.errors import UserError

INDEX = "index"


class Snapshot:
    """The rows that an index knew when it was read; what others write meanwhile is not seen.

    Args:
        folder: of the column.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.ids = self._shard_of = self._row_of = np.empty(0, np.int64)
        self._values: list[Tensor] = []
        self._ends: list[np.ndarray] = []
        self._shape: ragged.Shape = ()
        path = folder / f"{INDEX}{files.SUFFIX}"
        if path.exists():
            self._read(path)

    def _read(self, path: Path) -> None:
        arrays, metadata = files.read(path)
        self.ids, self._shard_of, self._row_of = (arrays[name].numpy() for name in ("ids", "shards", "rows"))
        for name in json.loads(metadata["shards"]):
            shard, about = files.read(self.folder / name)
            self._values.append(shard["values"])
            self._ends.append(shard["ends"].numpy())
            self._shape = tuple(json.loads(about["shape"]))

    def places(self, ids: np.ndarray) -> np.ndarray:
        """Where in the index each id stands; anywhere where it is missing."""
        return np.searchsorted(self.ids, ids).clip(max=max(0, len(self.ids) - 1))

    def missing(self, ids: np.ndarray) -> np.ndarray:
        """Which of the ids have no row, as an array of bool."""
        return self.ids[self.places(ids)] != ids if len(self.ids) else np.ones(len(ids), dtype=bool)

    def batch(self, ids: np.ndarray, lengths: Sequence[int], width: int) -> Tensor:
        """The rows of these ids as a batch `[B, …]`."""
        if self.missing(ids).any():
            raise UserError(
                f"store.folder: {self.folder} lacks rows that a run counts on; do all its processes see it?"
            )
        places = self.places(ids)
        shards, rows = self._shard_of[places], self._row_of[places]
        if ragged.LENGTH not in self._shape:
            return self._of_one_size(shards, rows)
        where = zip(shards.tolist(), rows.tolist(), strict=True)
        return ragged.pad([self._row(*place) for place in where], self._shape, lengths, width)

    def _of_one_size(self, shards: np.ndarray, rows: np.ndarray) -> Tensor:
        """Rows that all have the column's shape, a shard at a time."""
        batch = self._values[0].new_empty(len(rows), *self._shape)
        for shard in np.unique(shards).tolist():
            here = torch.from_numpy(shards == shard)
            batch[here] = self._values[shard].view(-1, *self._shape)[torch.from_numpy(rows)[here]]
        return batch

    def _row(self, shard: int, row: int) -> Tensor:
        ends = self._ends[shard]
        return self._values[shard][int(ends[row - 1]) if row else 0 : int(ends[row])]


class Column:
    """Rows in shards of some megabytes, and an index that finds a row by its id.

    A shard is named by its content and never changes. It holds `ids` `[N]`, `ends` `[N]` and the rows
    one after the other in `values`; row n reaches from `ends[n - 1]` to `ends[n]`. The index holds the
    sorted `ids` with `shards` and `rows`, where each is, and names the shards that it knows. Both are mapped
    into memory, never read as a whole, and not before a row is asked for.

    Args:
        folder: of the column; need not be there yet.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._snapshot: Snapshot | None = None

    def __reduce__(self) -> tuple[type["Column"], tuple[Path]]:
        return Column, (self.folder,)  # another process maps the files itself

    def __len__(self) -> int:
        return len(self._now.ids)

    @property
    def _now(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = Snapshot(self.folder)
        return self._snapshot

    def open(self) -> None:
        """See what is there now, when next asked."""
        self._snapshot = None

    def missing(self, ids: np.ndarray) -> np.ndarray:
        """Which of the ids have no row here, as an array of bool."""
        return self._now.missing(ids)

    def read(self, ids: np.ndarray, lengths: Sequence[int], width: int) -> Tensor:
        """The rows of these ids as a batch `[B, …]`.

        Args:
            ids: none of them missing.
            lengths: real positions of each.
            width: positions of the batch.
        """
        return self._now.batch(ids, lengths, width)

    def append(self, ids: np.ndarray, sizes: np.ndarray, values: Tensor, shape: ragged.Shape) -> None:
        """Write one more shard; the index does not know it yet.

        Args:
            ids: of the rows.
            sizes: how many numbers each has.
            values: the rows one after the other.
            shape: of a row, see `ragged.cut`.
        """
        tensors = {"ids": torch.from_numpy(ids), "ends": torch.from_numpy(sizes.cumsum()), "values": values}
        files.write(self.folder, tensors, {"shape": json.dumps(shape)})

    def check(self) -> list[Path]:
        """Compare every shard with its name, set damaged ones aside, and renew the index where it is not of today.

        Only to be called by whoever holds the lock of the store.

        Returns:
            The damaged shards, under their former names.
        """
        damaged = [path for path in self.shards() if not files.is_whole(path)]
        if damaged:  # first, since it names shards that are about to be gone
            (self.folder / f"{INDEX}{files.SUFFIX}").unlink(missing_ok=True)
        for path in damaged:
            path.rename(path.with_suffix(files.DAMAGED))
        if not self._index_is_of_today():
            self.index()
        self.open()
        return damaged

    def shards(self) -> list[Path]:
        """The shards that are there, whether the index knows them or not."""
        return sorted(path for path in self.folder.glob(f"*{files.SUFFIX}") if path.stem != INDEX)

    def index(self) -> None:
        """Write the index of all shards that are there; where an id has several rows, it finds one of them."""
        shards = self.shards()
        if not shards and not self.folder.exists():
            return
        ids = [files.read(path)[0]["ids"].numpy() for path in shards]
        arrays = {
            "ids": np.concatenate([*ids, np.empty(0, np.int64)]),
            "shards": np.repeat(np.arange(len(ids), dtype=np.int32), [len(some) for some in ids]),
            "rows": np.concatenate([*(np.arange(len(some), dtype=np.int32) for some in ids), np.empty(0, np.int32)]),
        }
        _, first = np.unique(arrays["ids"], return_index=True)
        tensors = {name: torch.from_numpy(array[first]) for name, array in arrays.items()}
        names = json.dumps([path.name for path in shards])
        files.write(self.folder, tensors, {"shards": names, "digest": _digest(tensors, names)}, INDEX)
        self.open()

    def _index_is_of_today(self) -> bool:
        path = self.folder / f"{INDEX}{files.SUFFIX}"
        if not path.exists():
            return False
        try:
            tensors, metadata = files.read(path)
        except Exception:  # whatever a damaged file makes the library say, the index is made anew
            return False
        names = json.dumps([path.name for path in self.shards()])
        return metadata.get("shards") == names and metadata.get("digest") == _digest(tensors, names)


def _digest(tensors: dict[str, Tensor], names: str) -> str:
    state = xxhash.xxh3_128(names.encode())
    for _, tensor in sorted(tensors.items()):
        state.update(tensor.numpy().data)
    return state.hexdigest()
