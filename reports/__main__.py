"""Run folders as tables and pages: `python -m reports summary | leaderboard | show | compare`."""

import argparse
import io
import os
import sys
from pathlib import Path

from potstill.errors import UserError
from reports.html import as_html
from reports.leaderboard import ROWS, Leaderboard
from reports.show import compare, show
from reports.summary import summary
from reports.watch import serve

FORMATS = {"html": as_html, **ROWS}


def main(words: list[str] | None = None) -> None:
    """Parse the command line and do what it says."""
    parser = make_parser()
    arguments = parser.parse_args(words)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of folders can be any bytes
    try:
        arguments.act(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nor does the interpreter complain at its end
    except (UserError, OSError) as error:
        parser.exit(2, f"error: {error}\n")


def make_parser() -> argparse.ArgumentParser:
    """The four commands."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    command = commands.add_parser("summary", help="a table of many runs, averaged over seeds")
    command.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    command.set_defaults(act=lambda arguments: print(summary(arguments.folders)))
    _add_leaderboard(commands.add_parser("leaderboard", help="a page of many runs: score against latency and size"))
    command = commands.add_parser("show", help="what a run is, where it stands, and its report")
    command.add_argument("run", type=Path, metavar="RUN")
    command.set_defaults(act=lambda arguments: print(show(arguments.run)))
    command = commands.add_parser("compare", help="two runs side by side")
    command.add_argument("run", nargs=2, type=Path, metavar="RUN")
    command.set_defaults(act=lambda arguments: print(compare(*arguments.run)))
    return parser


def _add_leaderboard(command: argparse.ArgumentParser) -> None:
    command.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    command.add_argument("--out", type=Path, help="the file to write; else leaderboard.html, other formats to stdout")
    command.add_argument("--format", choices=FORMATS, help="default: what --out ends in, else html")
    command.add_argument("--watch", action="store_true", help="serve the page and keep it up to date")
    command.add_argument("--port", type=port, default=8765, help="of --watch; default: 8765, 0 takes a free one")
    command.set_defaults(act=leaderboard)


def port(word: str) -> int:
    """The number of a port."""
    if word.isdecimal() and int(word) < 2**16:
        return int(word)
    raise argparse.ArgumentTypeError(f"{word} is no port: say a number from 0 to 65535")


def leaderboard(arguments: argparse.Namespace) -> None:
    """Write the page or the rows, or serve the page."""
    kind = arguments.format or (arguments.out and arguments.out.suffix[1:])
    if arguments.watch:
        if arguments.format not in (None, "html") or arguments.out:
            raise UserError("--watch serves the page: leave out --format and --out")
        return serve(arguments.folders, arguments.port)
    board = Leaderboard(arguments.folders)
    text = FORMATS.get(kind, as_html)(board)
    if kind in ROWS and not arguments.out:
        return print(text, end="")
    out = arguments.out or Path("leaderboard.html")
    out.write_text(text, encoding="utf-8", errors="backslashreplace")
    left_out = len(board.unranked())
    ranked = f"{len(board.runs) - left_out} runs, {len(board.groups)} configurations"
    print(f"{out}: {ranked}, {left_out} failed, pruned or unfinished")


if __name__ == "__main__":
    main()
