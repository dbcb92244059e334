"""How fast stored rows are read in random batches: the store's shards against Arrow through `datasets`.

`python -m bench.layouts`
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from datasets import Array2D, Dataset, Features, Sequence, Value
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kd.store.column import Column
from kd.store.ragged import cut

WIDTH, CLASSES = 384, 2
Read = Callable[[np.ndarray], Tensor]


def shards(folder: Path, rows: list[Tensor], lengths: np.ndarray) -> Read:
    """The store's layout."""
    column = Column(folder)
    ragged = rows[0].dim() > 1
    for part in np.array_split(np.arange(len(rows)), 8):
        pieces = [cut(rows[row].unsqueeze(0), (1,) if ragged else (), [int(lengths[row])]) for row in part]
        sizes = np.array([len(piece) for _, (piece,) in pieces])
        column.append(part, sizes, torch.cat([piece for _, (piece,) in pieces]), pieces[0][0])
    column.index()
    return lambda ids: column.read(ids, lengths[ids].tolist(), int(lengths[ids].max()))


def arrow(folder: Path, rows: list[Tensor], lengths: np.ndarray) -> Read:
    """A table of `datasets` with a row an example, read as tensors."""
    kind = Array2D((None, WIDTH), "float16") if rows[0].dim() > 1 else Sequence(Value("float16"))
    made = Dataset.from_generator(
        lambda: ({"values": row.numpy()} for row in rows), features=Features({"values": kind}), cache_dir=str(folder)
    )
    table = made.with_format("torch")
    return lambda ids: pad_sequence(list(table[ids.tolist()]["values"]), batch_first=True)


def compare(rows: int, batches: int) -> list[tuple[str, float, float]]:
    """Field, and milliseconds a batch of 32 by either layout; the layouts take turns."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(5, 46, rows)
    fields = {
        "logits": [torch.randn(CLASSES).half() for _ in range(rows)],
        "hidden states of a layer": [torch.randn(length, WIDTH).half() for length in lengths.tolist()],
    }
    result = []
    for name, values in fields.items():
        with tempfile.TemporaryDirectory() as folder:
            reads = [layout(Path(folder) / layout.__name__, values, lengths) for layout in (shards, arrow)]
            times: list[list[float]] = [[], []]
            for _ in range(batches):
                ids = draw.permutation(rows)[:32]
                for read, taken in zip(reads, times, strict=True):
                    start = time.perf_counter()
                    read(ids)
                    taken.append((time.perf_counter() - start) * 1000)
            result.append((name, median(times[0]), median(times[1])))
    return result


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.layouts", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--batches", type=int, default=200)
    arguments = parser.parse_args()
    for name, ours, theirs in compare(arguments.rows, arguments.batches):
        print(f"{name}: shards {ours:.2f} ms, Arrow {theirs:.2f} ms a batch of 32; ratio {theirs / ours:.1f}")


if __name__ == "__main__":
    main()
