"""`python -m reports summary FOLDER…` prints a table of the runs below the folders."""

import argparse
from pathlib import Path

from reports.summary import summary


def main() -> None:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser(prog="python -m reports", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("summary", help="a table of many runs, averaged over seeds")
    command.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        if not folder.is_dir():
            parser.error(f"{folder}: no such folder")
    print(summary(arguments.folders))


if __name__ == "__main__":
    main()
