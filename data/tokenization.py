"""Texts as token ids, once per tokenizer, kept on disk."""

import logging
from collections.abc import Mapping
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerFast

from potstill import fingerprint

log = logging.getLogger(__name__)


def tokenize(rows: Dataset, tokenizer: PreTrainedTokenizerFast, max_length: int) -> Dataset:
    """The token ids of each row, not padded, cut at `max_length`; no mask, since every position is real.

    Columns are what the tokenizer's model reads (`input_ids`, perhaps `token_type_ids`) and `length`.
    """
    pair = "text_pair" in rows.column_names
    names = [name for name in tokenizer.model_input_names if name != "attention_mask"]

    def encode(batch: Mapping[str, list[str]]) -> dict[str, list[Any]]:
        texts = (batch["text"], batch["text_pair"]) if pair else (batch["text"],)
        encoded = tokenizer(*texts, truncation=True, max_length=max_length, return_attention_mask=False)
        return {name: encoded[name] for name in names} | {
            "length": [len(ids) for ids in encoded["input_ids"]],
            "cut": [bool(encoding.overflowing) for encoding in encoded.encodings],
        }

    key = [rows._fingerprint, fingerprint.of_tokenizer(tokenizer), max_length, names]
    table = rows.map(encode, batched=True, remove_columns=rows.column_names, new_fingerprint=fingerprint.of_value(key))
    if cut := sum(table["cut"]):
        log.warning(
            "%d of %d texts are longer than %d tokens and are cut there (data.max_length)", cut, len(rows), max_length
        )
    return table.remove_columns("cut")
