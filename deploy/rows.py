"""Rows to predict: out of a file, with malformed ones in their places, and out of lines."""

from collections.abc import Iterable, Iterator, Sequence

from data.readers import Row, read_rows, text_lines, why_no_text
from deploy.predict import Item, Predictor
from potstill.errors import UserError


def items_of_file(path: str, predictor: Predictor) -> Iterator[Item]:
    """The rows of a file of any kind that `data.readers` knows, one after the other.

    Raises:
        UserError: the file cannot be read, or its first row lacks a column of the texts.
    """
    errors: list[UserError] = []
    before, names = "", list[str]()
    for where, row in read_rows(path, errors.append):
        if not before:
            check_columns(where, row, predictor.columns.texts)
            names = list(row)
        yield from _malformed(errors, names)
        before = f"{where} again" if where == before else where  # windows of a text are known by their place
        yield predictor.picked(before, row)
    yield from _malformed(errors, names)


def _malformed(errors: list[UserError], names: Iterable[str]) -> Iterator[Item]:
    """Rows with nothing in the columns of the first proper one."""
    while errors:
        yield Item(dict.fromkeys(names), error=str(errors.pop(0)))


def check_columns(where: str, row: Row, texts: Iterable[str]) -> None:
    """Refuse rows without the columns of the texts.

    Raises:
        UserError: the line says which columns there are.
    """
    if lacking := [column for column in texts if column not in row]:
        there = ", ".join(map(repr, row))
        raise UserError(f"{where}: no column {lacking[0]!r}; there are {there}; name the texts' with --columns")


def items_of_lines(lines: Iterable[bytes], predictor: Predictor) -> Iterator[Item]:
    """A text a line, or a pair with a tab between."""
    names = predictor.columns.texts
    decoded = text_lines(line.decode(errors="surrogateescape") for line in lines)
    for number, text in enumerate(decoded, start=1):
        text = text.removeprefix("\ufeff") if number == 1 else text  # a byte order mark
        if reason := why_no_text([text]):
            yield Item(dict.fromkeys(names), error=f"line {number}: {reason}")
        else:
            text = text.rstrip("\r\n")
            yield predictor.item(f"line {number}", tuple(text.split("\t")) if len(names) > 1 else text)


def items_of_texts(texts: Sequence[str], predictor: Predictor) -> Iterator[Item]:
    """Texts as they come, or two and two.

    Raises:
        UserError: nothing can be said of one.
    """
    each = len(predictor.columns.texts)
    for start in range(0, len(texts), each):
        item = predictor.item(f"text {start + 1}", tuple(texts[start : start + each]))
        if item.error:
            raise UserError(item.error)
        yield item
