"""`python -m deploy predict RUN …` asks a saved student about texts, a file, or what comes on standard input."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tqdm import tqdm

from deploy.answers import Render, as_lines, renderer
from deploy.output import Output
from deploy.predict import Item, Predictor
from deploy.rows import items_of_file, items_of_lines, items_of_texts
from potstill.errors import UserError
from potstill.terminal import has_bars, quiet

STANDARD = "-"
INTERRUPTED, BROKEN_PIPE = 130, 141


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, read and checked."""
    parser = argparse.ArgumentParser(prog="python -m deploy", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("predict", help="ask a saved student")
    command.add_argument("run", type=Path, metavar="RUN", help="a run folder, or one with a saved model")
    command.add_argument("texts", nargs="*", metavar="TEXT", help="a text; pairs are one text after the other")
    command.add_argument(
        "--file", help="rows to predict: csv, tsv, json, jsonl, parquet, conll, txt; - is standard input"
    )
    command.add_argument("--out", type=Path, help="a csv, jsonl or (tags) conll file; standard output where not given")
    command.add_argument("--overwrite", action="store_true", help="replace that file")
    command.add_argument("--columns", nargs="+", default=(), metavar="NAME", help="of the texts; else the run's")
    command.add_argument("--part", help="of a student of several data sets, the one that is meant")
    command.add_argument("--every", action="store_true", help="write the probability of every class or label")
    command.add_argument("--batch-size", type=int, help="rows at once; else the run's data.eval_batch_size")
    command.add_argument("--device", help="such as cpu or cuda:1; else a GPU where there is one")
    options = parser.parse_args(arguments)
    if bool(options.texts) == bool(options.file):
        command.error("give texts, or a --file; one of the two")
    if options.out and options.file and options.out.resolve() == Path(options.file).resolve():
        command.error("--out: that is the file to be read")
    return options


def items_of(options: argparse.Namespace, predictor: Predictor) -> Iterator[Item]:
    """What is to be predicted."""
    if options.file == STANDARD:
        return items_of_lines(sys.stdin.buffer, predictor)
    if options.file:
        return items_of_file(options.file, predictor)
    return items_of_texts(options.texts, predictor)


def render_of(options: argparse.Namespace, predictor: Predictor) -> Render:
    """How answers are written."""
    if options.texts and not options.out:
        return partial(as_lines, predictor.task, options.every)
    return renderer(options.out or Path("answers.csv"), predictor.task, options.every)


def predict(options: argparse.Namespace) -> None:
    """Write answers for all items."""
    bar = tqdm(unit=" rows", disable=not has_bars())
    with once("data.tokenization"), Output(options.out, options.overwrite) as output, bar as progress:
        predictor = Predictor(options.run, options.part, options.columns, options.batch_size, options.device)
        render, rows, errors = render_of(options, predictor), 0, 0
        first = ""
        for window in predictor.windows(items_of(options, predictor)):
            output.append(render(window))
            progress.update(len(window))
            wrong = [item.error for item, _ in window if item.error]
            rows, errors, first = rows + len(window), errors + len(wrong), first or next(iter(wrong), "")
        if not rows:
            output.append(render([]))
    if first:
        print(f"{errors:,} of {rows:,} rows have an error, first {first}", file=sys.stderr)


@contextmanager
def once(name: str) -> Iterator[None]:
    """Let a logger say each kind of message once, as long as this lasts."""
    logger, once = logging.getLogger(name), Once()
    logger.addFilter(once)
    try:
        yield
    finally:
        logger.removeFilter(once)


class Once(logging.Filter):
    """Lets a message of a kind through once."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[object] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        new = record.msg not in self.seen
        self.seen.add(record.msg)
        return new


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; a user's mistake becomes one line."""
    options = parsed(arguments)
    quiet()
    try:
        predict(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # who reads standard output has had enough
        sys.stdout = None
        return BROKEN_PIPE
    except KeyboardInterrupt:
        print("interrupted; what was written stays", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
