"""Short names for content: equal content, equal name, on every machine and in every process."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

DIGITS = 16


def of_value(value: object) -> str:
    """Name of anything that JSON can write; the order of a mapping's keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:DIGITS]


def of_files(paths: Iterable[Path]) -> str:
    """Name of some files' names and content; the order in which they are given does not count."""
    return of_value(sorted((path.name, _digest(path)) for path in paths))


def of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Name of some tensors' names, types, shapes and content, wherever they are."""
    state = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        state.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        state.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return state.hexdigest()[:DIGITS]


def of_arrays(arrays: Iterable[np.ndarray]) -> str:
    """Name of some arrays' numbers, in this order."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(np.ascontiguousarray(array).data)
    return state.hexdigest()[:DIGITS]


def of_text(text: str) -> int:
    """A number in [0, 2**63) for a text: an id that survives reordering and growth of a data set."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def of_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Name of what decides a text's ids: two models with the same one can share an encoding.

    Truncation and padding are left out: they are the data's settings, not the tokenizer's.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    decisive = {key: state[key] for key in state if key not in ("truncation", "padding")}
    return of_value([decisive, sorted(tokenizer.model_input_names)])


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
