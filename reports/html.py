"""The leaderboard as one HTML file that needs nothing else."""

import json
from pathlib import Path

from reports.leaderboard import Leaderboard
from reports.payload import payload

PAGE = Path(__file__).parent / "page"
OWN = ("tools", "state", "points", "chart", "table", "compare", "curves", "main")
FILES = {
    "STYLE": ("style.css",),
    "LICENCES": ("vendor/LICENSES.txt",),
    "SCRIPT": ("vendor/echarts.js", "vendor/table-core.js", *(f"{name}.js" for name in OWN)),
}


def as_html(board: Leaderboard, version: str = "") -> str:
    """The page.

    Args:
        board: the runs.
        version: of the data, where the page is served and asks for newer ones.
    """
    parts = {name: _joined(files) for name, files in FILES.items()} | {"DATA": as_data(board, version)}
    first, *rest = (PAGE / "page.html").read_text(encoding="utf-8").split("{{")
    pieces = (piece.partition("}}") for piece in rest)
    return first + "".join(parts[name] + text for name, _, text in pieces)


def as_data(board: Leaderboard, version: str = "") -> str:
    """The data as JSON that may stand between script tags: nothing in it can end them."""
    data = {"version": version} | payload(board)
    return json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _joined(names: tuple[str, ...]) -> str:
    return "\n".join((PAGE / name).read_text(encoding="utf-8") for name in names)
