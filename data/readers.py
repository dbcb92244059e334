"""Rows out of local files, each with the place it came from, so that bad data can be named."""

import bz2
import csv
import gzip
import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet

from potstill.errors import UserError

Row = dict[str, Any]
OnError = Callable[[UserError], None]
NUL = "\udc00"  # as surrogateescape has it for the bytes that are no text
ESCAPED = re.compile(f"[{NUL}\udc80-\udcff]")
OPENERS: dict[str, Callable[..., IO]] = {".bz2": bz2.open, ".gz": gzip.open}

csv.field_size_limit(sys.maxsize)


def refuse(error: UserError) -> None:
    """Let a malformed row end the reading."""
    raise error


def read_rows(path: str | Path, on_error: OnError = refuse) -> Iterator[tuple[str, Row]]:
    """Yield `(where, row)` for each row of a csv, tsv, json, jsonl, parquet, conll, conllu or txt file.

    `where` names file and line (for sentences of conll files: the first) or file and row. Text files are UTF-8, with or
    without a byte order mark, and may be compressed (`.gz`, `.bz2`). A tsv has no quoting, as in
    GLUE's files; a csv has the usual double quotes.

    Args:
        path: of the file.
        on_error: what to do about a malformed row; if it returns, the row is left out.

    Raises:
        UserError: the file is missing, of another kind, not text, or a row of it is malformed.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: {'is a folder, not a file' if path.is_dir() else 'no such file'}")
    kind = path.with_suffix("").suffix if path.suffix in OPENERS else path.suffix
    reader = READERS.get(kind)
    if reader is None:
        raise UserError(f"{path}: unknown kind of file {kind!r}; known are {', '.join(READERS)}")
    try:
        for where, row in reader(path, on_error):
            if reason := why_no_text(row.values()):
                on_error(UserError(f"{where}: {reason}"))
            else:
                yield where, row
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: {error}") from error


def _csv(path: Path, on_error: OnError) -> Iterator[tuple[str, Row]]:
    yield from _delimited(path, on_error, delimiter=",", quoting=csv.QUOTE_MINIMAL, strict=True)


def _tsv(path: Path, on_error: OnError) -> Iterator[tuple[str, Row]]:
    yield from _delimited(path, on_error, delimiter="\t", quoting=csv.QUOTE_NONE)


def _delimited(path: Path, on_error: OnError, **dialect: Any) -> Iterator[tuple[str, Row]]:
    with _open_text(path) as file:
        rows = csv.reader(text_lines(file), **dialect)
        header = _header(path, rows)
        while True:
            line = rows.line_num + 1
            try:
                fields = next(rows, None)
            except csv.Error as error:
                on_error(UserError(f"{path}:{line}: {error}{_over(rows.line_num - line + 1)}"))
                continue
            if fields is None:
                return
            if not fields:
                continue
            if len(fields) != len(header):
                found = f"{len(fields)} fields{_over(rows.line_num - line + 1)}"
                on_error(UserError(f"{path}:{line}: {found}, where the header has {len(header)}"))
                continue
            yield f"{path}:{line}", dict(zip(header, fields, strict=True))


def _header(path: Path, rows: Iterator[list[str]]) -> list[str]:
    try:
        header = next(rows, None)
    except csv.Error as error:
        raise UserError(f"{path}:1: {error}") from error
    if not header:
        raise UserError(f"{path}: empty, where a header line was expected")
    if reason := why_no_text(header):
        raise UserError(f"{path}:1: {reason}")
    for name, count in Counter(header).items():
        if name and count > 1:
            raise UserError(f"{path}:1: {count} columns are called {name!r}; rename all but one")
    return header


def _over(lines: int) -> str:
    return f" over {lines} lines" if lines > 1 else ""


def _txt(path: Path, on_error: OnError) -> Iterator[tuple[str, Row]]:
    """A text a line."""
    with _open_text(path) as file:
        for line, text in enumerate(text_lines(file), start=1):
            if text := text.strip():
                yield f"{path}:{line}", {"text": text}


def _jsonl(path: Path, on_error: OnError) -> Iterator[tuple[str, Row]]:
    with _open_text(path) as file:
        for line, text in enumerate(text_lines(file), start=1):
            if text.strip():
                where = f"{path}:{line}"
                try:
                    row = _as_row(where, _parse(where, text))
                except UserError as error:
                    on_error(error)
                    continue
                yield where, row


def _json(path: Path, on_error: OnError) -> Iterator[tuple[str, Row]]:
    with _open_text(path) as file:
        rows = _parse(str(path), file.read())
    if isinstance(rows, dict) and isinstance(rows.get("data"), list):
        yield from _squad(path, rows["data"], on_error)
        return
    if not isinstance(rows, list):
        raise UserError(f"{path}: a list of objects was expected; for one object a line call the file .jsonl")
    for number, row in enumerate(rows, start=1):
        where = f"{path}: row {number}"
        if isinstance(row, dict):
            yield where, row
        else:
            on_error(UserError(f"{where}: an object was expected, not {type(row).__name__}"))


def _squad(path: Path, articles: list[Any], on_error: OnError) -> Iterator[tuple[str, Row]]:
    """Questions of SQuAD's format: `id`, `title`, `question`, `context`, `answers`."""
    for article in articles:
        try:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    where = f"{path}: question {asked['id']}"
                    row = {"id": asked["id"], "title": article.get("title"), "context": paragraph["context"]}
                    yield where, row | {"question": asked["question"], "answers": asked.get("answers")}
        except (KeyError, TypeError, AttributeError) as error:
            on_error(UserError(f"{path}: not as SQuAD's files are, in article {article!r:.60}: {error!r}"))


def _conll(path: Path, on_error: OnError) -> Iterator[tuple[str, Row]]:
    """Sentences: a word a line, its tag in the last column; `tokens` and `tags`."""
    for lines in _sentences(path, width=0):
        width = len(lines[0][1])
        ragged = [line for line in lines if len(line[1]) != max(width, 2) or not (line[1][0] and line[1][-1])]
        if ragged:
            place, fields = ragged[0]
            reason = f"{len(fields)} columns, where its sentence begins with {width}; a word and its tag are needed"
            on_error(UserError(f"{place}: {reason}"))
            continue
        yield lines[0][0], {"tokens": [f[0] for _, f in lines], "tags": [f[-1] for _, f in lines]}


def _conllu(path: Path, on_error: OnError) -> Iterator[tuple[str, Row]]:
    """Sentences of Universal Dependencies: `tokens`, and `tags` (UPOS), `xpos`, `lemmas`, `relations`."""
    names = {"tokens": 1, "lemmas": 2, "tags": 3, "xpos": 4, "relations": 7}
    for lines in _sentences(path, width=10):
        if ragged := [line for line in lines if len(line[1]) != 10]:
            on_error(UserError(f"{ragged[0][0]}: {len(ragged[0][1])} columns, where CoNLL-U has 10"))
            continue
        words = [fields for _, fields in lines if fields[0].isdigit()]  # neither a range of words nor an empty node
        if words:
            row = {name: [fields[number] for fields in words] for name, number in names.items()}
            yield lines[0][0], row | {"tokens": ["_".join(token.split()) for token in row["tokens"]]}


def _sentences(path: Path, width: int) -> Iterator[list[tuple[str, list[str]]]]:
    """The lines of each sentence with their places and columns; comments and document marks are passed over.

    A comment begins with # and a space, before a sentence's first word, and has other columns than words have.

    Args:
        path: of the file.
        width: the number of columns; 0: as many as the line before.
    """
    lines: list[tuple[str, list[str]]] = []
    with _open_text(path) as file:
        for number, line in enumerate(text_lines(file), start=1):
            line = line.rstrip("\r\n")
            fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
            comment = line.startswith("# ") and not lines and len(fields) != width
            if fields and any(fields) and not comment and not line.startswith("-DOCSTART-"):
                lines.append((f"{path}:{number}", fields))
                width = len(fields)
            elif lines and not any(fields):
                yield lines
                lines = []
    if lines:
        yield lines


def _parquet(path: Path, on_error: OnError) -> Iterator[tuple[str, Row]]:
    number = 0
    try:
        for batch in pa.parquet.ParquetFile(path).iter_batches():
            for row in batch.to_pylist():
                number += 1
                yield f"{path}: row {number}", row
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: {error}") from error


READERS: dict[str, Callable[[Path, OnError], Iterator[tuple[str, Row]]]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".json": _json,
    ".jsonl": _jsonl,
    ".conll": _conll,
    ".conllu": _conllu,
    ".parquet": _parquet,
    ".txt": _txt,
}


def _open(path: Path, mode: str, **options: Any) -> IO:
    return OPENERS.get(path.suffix, open)(path, mode, **options)


def _open_text(path: Path) -> IO[str]:
    return _open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")


def text_lines(lines: Iterable[str]) -> Iterator[str]:
    """Lines decoded with `surrogateescape`, in which `why_no_text` finds NUL, too."""
    return (line.replace("\0", NUL) for line in lines)


def _parse(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # too many digits, or too deep
        raise UserError(f"{where}: {why_no_text([text]) or f'not JSON: {error}'}") from error


def _as_row(where: str, row: Any) -> Row:
    if not isinstance(row, dict):
        raise UserError(f"{where}: an object was expected, not {type(row).__name__}")
    return row


def why_no_text(values: Iterable[Any]) -> str | None:
    """What is said of the first byte that was no text, as `surrogateescape` keeps it; None where there is none."""
    for value in values:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and (found := ESCAPED.search(text)):
                byte = ord(found[0]) - 0xDC00
                return f"not UTF-8 text (byte 0x{byte:02x})" if byte else "not text but binary data"
    return None
