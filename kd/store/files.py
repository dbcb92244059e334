"""Files of tensors that are either whole or not there, and whose name tells whether they are still what was written."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path

import xxhash
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

SUFFIX, UNFINISHED, DAMAGED = ".safetensors", ".unfinished", ".damaged"
BLOCK = 2**24


def write(folder: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], name: str | None = None) -> Path:
    """Write a file under another name, bring it to the disk, and only then give it its own.

    Args:
        folder: made where it is not there.
        tensors, metadata: as in the safetensors format.
        name: of the file; that of its content where not given.
    """
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f"{uuid.uuid4().hex}{UNFINISHED}"
    try:
        save_file(dict(tensors), unfinished, dict(metadata))
        _to_disk(unfinished)
        path = folder / f"{name or digest(unfinished)}{SUFFIX}"
        unfinished.replace(path)
        _to_disk(folder)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors, mapped from the file and not yet read, and metadata."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no mapping)


def digest(path: Path) -> str:
    """Name of a file's content: XXH3 at about the speed at which memory is read."""
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            state.update(block)
    return state.hexdigest()


def is_whole(path: Path) -> bool:
    """Whether a file that is named by its content holds what was written."""
    return digest(path) == path.stem


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
