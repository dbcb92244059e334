"""Lines of 200,000 characters, as one word and as many: read, cut, and named by file and line."""

import json
import logging

import pytest

from data.examples import Split, prepare
from data.masked_lm import MaskedLM
from data.sources import Columns, Files
from data.tagging import Tagging
from data.tokenization import tokenize
from data.words import word_numbers
from models.words import word_tokenizer

WORD, WORDS = "x" * 200_000, " ".join(["word"] * 40_000)
TEXTS = [*(f"text {number}" for number in range(8)), WORD, WORDS]
GIVEN = Split(validation=0, test=0)


def as_csv(text):
    return f"{text},a"


def as_json(text):
    return json.dumps({"text": text, "label": "a"})


def as_conll(text):
    return "\n".join(f"{word} O" for word in [*text.split(), "end"]) + "\n"


KINDS = {  # lines, columns, task, classes, line of the many words
    "csv": (["text,label", *map(as_csv, TEXTS)], Columns("text", "label"), None, ["a", "b"], 11),
    "jsonl": (list(map(as_json, TEXTS)), Columns("text", "label"), None, ["a", "b"], 10),
    "conll": (list(map(as_conll, TEXTS)), Columns("tokens", "tags"), Tagging(), ["O", "B"], 8 * 4 + 3 + 1),
    "txt": (TEXTS, Columns("text"), MaskedLM(block=0), None, 10),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read_cut_and_named(kind, tmp_path, caplog):
    lines, columns, task, classes, line = KINDS[kind]
    path = tmp_path / f"rows.{kind}"
    path.write_text("\n".join(lines) + "\n")
    rows = Files(str(path)).read(columns, tmp_path)["train"]
    assert len(rows) == len(TEXTS)
    few = rows.select([0])
    examples = prepare({"train": rows, "validation": few, "test": few}, GIVEN, classes, task)
    tokenizer = word_tokenizer(["text word", *"x0123456789"], 20)
    with caplog.at_level(logging.WARNING):
        table = tokenize(examples.train, tokenizer, 16, word_numbers)
    assert max(table["length"]) == 16
    assert caplog.messages[-1] == (
        f"1 of 10 texts are longer than 16 tokens and are cut there (data.max_length), first {path}:{line}"
    )
