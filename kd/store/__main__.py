"""`python -m kd.store list|verify|prune [FOLDER]` looks after stored teacher outputs."""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from kd.store import files
from kd.store.column import Column
from kd.store.estimate import in_words
from kd.store.store import ABOUT, LOCK

DAY = 86_400.0


def stores(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The stores in a folder, with what they say of themselves."""
    for path in sorted(folder.glob(f"*/{ABOUT}")):
        try:
            yield path.parent, json.loads(path.read_text())
        except json.JSONDecodeError:
            print(f"{path}: not readable; the next run that uses the store writes it anew", file=sys.stderr)


def columns(store: Path) -> list[Column]:
    """The columns of a store."""
    return [Column(path) for path in sorted(store.iterdir()) if path.is_dir()]


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def listing(folder: Path) -> Iterator[str]:
    """Every store and its columns: rows, room, days since its last use."""
    for store, about in stores(folder):
        since = (time.time() - about["used"]) / DAY
        room, tokens = in_words(size(store)), about["max_length"]
        yield f"{store.name}  {about['teacher']}; {tokens} tokens; {room}; last used {since:.0f} days ago"
        for column in columns(store):
            yield f"  {column.folder.name:24} {rows(column):>12} rows {in_words(size(column.folder)):>12}"


def rows(column: Column) -> str:
    """How many it has; a question mark where it cannot be read."""
    try:
        return f"{len(column):,}"
    except (OSError, SafetensorError):
        return "?"


def damaged(folder: Path) -> list[Path]:
    """The shards that no longer hold what was written."""
    shards = (path for store, _ in stores(folder) for column in columns(store) for path in column.shards())
    return [path for path in shards if not files.is_whole(path)]


def prune(folder: Path, unused_days: float) -> Iterator[str]:
    """Remove stores that no run has used for so many days, and of the others what was interrupted or damaged."""
    for store, about in stores(folder):
        lock = FileLock(store.with_suffix(f".{LOCK}"))
        try:
            with lock.acquire(timeout=0):
                yield from _prune(store, time.time() - about["used"] > unused_days * DAY)
        except Timeout:
            yield f"{store}: kept, a run is filling it"


def _prune(store: Path, unused: bool) -> Iterator[str]:
    if unused:
        yield f"{store}: {in_words(size(store))} removed"
        shutil.rmtree(store)
        return
    for path in store.rglob("*"):
        if path.suffix in (files.UNFINISHED, files.DAMAGED):
            yield f"{path}: {in_words(path.stat().st_size)} removed"
            path.unlink()


def days(text: str) -> float:
    """A number of days from 0 on."""
    if not (count := float(text)) >= 0:
        raise ValueError(text)
    return count


def main() -> int:
    """Parse the command line, do it, and give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m kd.store", description=__doc__)
    parser.add_argument("command", choices=["list", "verify", "prune"])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("cache/store"), help="default: cache/store")
    parser.add_argument("--days", type=days, default=30, help="prune: keep what was used since (default: 30)")
    arguments = parser.parse_args()
    if not any(arguments.folder.glob(f"*/{ABOUT}")):
        parser.error(f"{arguments.folder}: no stores here")
    if arguments.command == "verify":
        return verify(arguments.folder)
    lines = listing(arguments.folder) if arguments.command == "list" else prune(arguments.folder, arguments.days)
    for line in lines:
        print(line)
    return 0


def verify(folder: Path) -> int:
    """Name the damaged shards; 1 where there are any."""
    harmed = damaged(folder)
    lines = [f"{path}: damaged; the next run that needs it computes it again" for path in harmed]
    print("\n".join(lines) or "all shards are whole")
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main())
