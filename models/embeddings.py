"""Embedding tables to start from: a teacher's, made narrower by SVD, or word vectors from a file."""

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from potstill.errors import UserError


def narrowed(table: Tensor, size: int) -> Tensor:
    """The rows of `[V, H]` in the `size` directions that keep most of them, `[V, size]`.

    Truncated SVD without centring: `U_k S_k` of `table = U S V^T` (as XtremeDistil does, Mukherjee &
    Awadallah, 2020, arXiv 2004.05686), computed as `table V_k` from the small matrix `table^T table`.
    """
    if size == table.shape[1]:
        return table
    _, directions = torch.linalg.eigh(table.double().T @ table.double())
    return (table.double() @ directions.flip(1)[:, :size]).to(table.dtype)


def from_other_tokenizer(table: Tensor, theirs: PreTrainedTokenizerFast, ours: PreTrainedTokenizerFast) -> Tensor:
    """A row for each of our words: the mean of the rows of the pieces into which they cut it.

    Special tokens take the row of the other tokenizer's special token of the same part.
    """
    vocabulary = ours.get_vocab()
    rows = torch.zeros(len(ours), table.shape[1], dtype=table.dtype)
    parts = {ours.special_tokens_map[part]: theirs.special_tokens_map.get(part) for part in ours.special_tokens_map}
    words = [word for word in vocabulary if word not in parts]
    pieces = theirs([word.removeprefix("##") for word in words], add_special_tokens=False)["input_ids"]
    for word, ids in zip(words, pieces, strict=True):
        if ids:
            rows[vocabulary[word]] = table[ids].mean(0)
    for ours_special, special in parts.items():
        if special is not None:
            rows[vocabulary[ours_special]] = table[theirs.convert_tokens_to_ids(special)]
    return rows


def word_vectors(path: str | Path, vocabulary: Mapping[str, int], table: Tensor) -> int:
    """Write the vectors of a text file (word2vec or GloVe, perhaps `.gz`) into the rows of known words.

    Args:
        path: a line a word: the word, then its numbers, parted by spaces.
        vocabulary: word -> row.
        table: `[V, H]`, changed in place.

    Returns:
        How many words of the vocabulary were found.

    Raises:
        UserError: the file is binary, or a line has not as many numbers as the table is wide.
    """
    path, found = Path(path), 0
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                word, *values = line.rstrip().split(" ")
                header = number == 1 and len(values) == 1  # word2vec's: count and width
                if word in vocabulary and not header and not _is_phrase(values, table.shape[1]):
                    table[vocabulary[word]] = _vector(f"{path}:{number}", word, values, table.shape[1])
                    found += 1
    except (UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise UserError(f"student.embeddings: {path}: not a text file of word vectors ({error})") from error
    return found


def _is_phrase(values: Sequence[str], width: int) -> bool:
    """Whether an entry is of several words, as a few of GloVe's are: what is too much is no number."""
    return any(not _is_number(value) for value in values[: max(0, len(values) - width)])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _vector(where: str, word: str, values: Sequence[str], width: int) -> Tensor:
    if len(values) != width:
        raise UserError(f"{where}: {len(values)} values, where student.embedding_size is {width}")
    if not all(map(_is_number, values)):
        raise UserError(f"{where}: a value of {word!r} is not a number")
    return torch.tensor([float(value) for value in values])
