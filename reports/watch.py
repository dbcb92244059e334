"""The page served on this machine, made anew when a run folder changes."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from potstill.errors import UserError
from reports.curves import metrics_stamp
from reports.html import as_data, as_html
from reports.leaderboard import Leaderboard
from reports.runs import run_folders, stamp

HOST = "127.0.0.1"


class Watched:
    """Some folders and what they hold now.

    Args:
        folders: run folders, or folders of them at any depth.
    """

    def __init__(self, folders: Sequence[Path]):
        self.folders = folders
        self.lock = threading.Lock()
        self.version = ""
        self.board = self._refreshed() or Leaderboard(folders)

    def answer(self, path: str) -> tuple[str, str] | None:
        """Type and text of what lies at a path of the site; None where nothing does.

        `/data?VERSION` is empty as long as nothing has changed since that version.
        """
        place, _, known = path.partition("?")
        if place not in ("/", "/data"):
            return None
        with self.lock:
            self._refreshed()
            if place == "/":
                return "text/html", as_html(self.board, self.version)
            return "application/json", "" if known == self.version else as_data(self.board, self.version)

    def _refreshed(self) -> Leaderboard | None:
        """The board, if it has been read anew."""
        if (now := version(self.folders)) == self.version:
            return None
        self.version, self.board = now, Leaderboard(self.folders)
        return self.board


def version(folders: Sequence[Path]) -> str:
    """Changes when any run's files do."""
    places = sorted(place for folder in folders for place in run_folders(folder))
    times = [(str(place), stamp(place), metrics_stamp(place)) for place in places]
    return f"{hash(str(times)) & 0xFFFFFFFFFFFF:x}"


def serve(folders: Sequence[Path], port: int) -> None:
    """Serve the page until Ctrl-C.

    Args:
        folders: run folders, or folders of them at any depth.
        port: on this machine; 0 takes a free one.

    Raises:
        UserError: there is no run, or the port is taken.
    """
    server = server_of(Watched(folders), port)
    try:
        print(f"http://{HOST}:{server.server_port} (Ctrl-C ends it)", flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        print("\nstopped", flush=True)
    finally:
        server.server_close()


def server_of(watched: Watched, port: int) -> ThreadingHTTPServer:
    """A server that answers with the page.

    Raises:
        UserError: the port is taken.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer = watched.answer(self.path)
            except (UserError, OSError) as error:  # the last run folder was removed, or one as it was read
                return self.send_error(503, ascii(str(error)))
            if answer is None:
                return self.send_error(404)
            with suppress(ConnectionError):  # a page that was closed
                self._send(*answer)

        def _send(self, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(200 if body else 204)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: object) -> None:
            """Nothing: every request of every page would be a line."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror}; take another one") from None
