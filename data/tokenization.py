"""Texts as token ids, once per tokenizer, kept on disk."""

import logging
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from data.words import WORDS, Numbering
from potstill import fingerprint

log = logging.getLogger(__name__)

PART = "part"  # the column of the data set that a row is of, where there are several
KEPT = ("id", "label", PART)
ENDLESS = 1_000_000  # tokens; longer than any text that is cut elsewhere


def sample_lengths(rows: Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int, count: int = 1000) -> np.ndarray:
    """Tokens of at most `count` of the rows, evenly spread."""
    some = rows.select(np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(np.int64)))
    encoded = tokenizer(_inputs(some[:]), truncation=True, max_length=max_length)
    return np.array([len(ids) for ids in encoded["input_ids"]])


def tokenize(
    rows: Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int, words: Numbering | None = None
) -> Dataset:
    """The token ids of each row, not padded, cut at `max_length`; no mask, since every position is real.

    Columns are `id`, `label` and where there is one `part`, what the tokenizer's model reads (`input_ids`, perhaps
    `token_type_ids`), and `length`; with a function that gives them also `words`, the word to which each token belongs.
    """
    names = [name for name in tokenizer.model_input_names if name != "attention_mask"]

    def encode(batch: Mapping[str, list[str]]) -> dict[str, list[Any]]:
        texts = _inputs(batch)
        encoded = tokenizer(texts, truncation=True, max_length=max_length, return_attention_mask=False)
        columns = {name: encoded[name] for name in names} | {
            "length": [len(ids) for ids in encoded["input_ids"]],
            "cut": [bool(encoding.overflowing) for encoding in encoded.encodings],
        }
        if words:
            both = zip(texts, encoded.encodings, strict=True)
            columns[WORDS] = [words(_as_tuple(some), encoding, max_length) for some, encoding in both]
        return columns

    key = [rows._fingerprint, fingerprint.of_tokenizer(tokenizer), max_length, names, KEPT]
    key += [words.__name__] if words else []
    others = [name for name in rows.column_names if name not in KEPT]
    table = rows.map(encode, batched=True, remove_columns=others, new_fingerprint=fingerprint.of_value(key))
    if cut := pc.sum(table.data.column("cut")).as_py():
        number = pc.index(table.data.column("cut"), True).as_py()
        _tell_of_cut(cut, len(rows), max_length, rows[number].get("where", f"row {number + 1}"))
    return table.remove_columns("cut")


@lru_cache  # once, however many stages and networks read the rows
def _tell_of_cut(cut: int, count: int, max_length: int, first: str) -> None:
    what = "%d of %d texts are longer than %d tokens and are cut there (data.max_length), first %s"
    log.warning(what, cut, count, max_length, first)


def _inputs(batch: Mapping[str, list[str]]) -> list[str | tuple[str, str]]:
    """The texts of rows as tokenizers take them: single ones, and pairs, where the second text is something."""
    if "text_pair" not in batch:
        return list(batch["text"])
    pairs = zip(batch["text"], batch["text_pair"], strict=True)
    return [(text, second) if second else text for text, second in pairs]


def _as_tuple(texts: str | tuple[str, str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else texts


class TrainingTexts:
    """The texts of rows, and what a tokenizer makes of them; for whoever needs a vocabulary."""

    def __init__(self, rows: Dataset, max_length: int):
        self.rows, self.max_length = rows, max_length

    @property
    def pairs(self) -> bool:
        """Whether a row has two texts."""
        return "text_pair" in self.rows.column_names

    def texts(self) -> Iterator[str]:
        """All of them, one after the other."""
        for batch in self.rows.iter(batch_size=1000):
            yield from (text for column in ("text", "text_pair") for text in batch.get(column, []))

    def ids(self, tokenizer: PreTrainedTokenizerFast) -> list[int]:
        """Every id that occurs in their encodings, once; a word counts whole where a text is cut inside it."""
        table = tokenize(self.rows, tokenizer, self.max_length)
        if pc.max(table.data.column("length")).as_py() == self.max_length:
            table = tokenize(self.rows, tokenizer, ENDLESS)
        return sorted({number for ids in _ids(table) for number in pc.unique(ids).to_pylist()})

    def cut_alike(self, one: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> bool:
        """Whether two tokenizers make the same pieces of each of them."""
        names = other.convert_ids_to_tokens(list(range(len(other))))
        vocabulary = one.get_vocab()
        translated = np.array([vocabulary.get(name, -1) for name in names])
        ours, theirs = (_ids(tokenize(self.rows, tokenizer, self.max_length)) for tokenizer in (one, other))
        return list(map(len, ours)) == list(map(len, theirs)) and all(
            (mine.to_numpy() == translated[its.to_numpy()]).all() for mine, its in zip(ours, theirs, strict=True)
        )


def _ids(table: Dataset) -> list[pa.Array]:
    return [chunk.values for chunk in table.data.column("input_ids").chunks]
