"""A file that holds whole windows of lines and nothing else, whatever ends the writing."""

import sys
from io import FileIO
from pathlib import Path
from types import TracebackType

from potstill.errors import UserError


class Output:
    """Takes texts, each of which is there as a whole or not at all; the file is made when the first one comes.

    Args:
        path: of the file; standard output where there is none.
        overwrite: whether a file of that name may be replaced.

    Raises:
        UserError: there is a file already.
    """

    def __init__(self, path: Path | None, overwrite: bool):
        self.path = path
        self._file: FileIO | None = None
        if path and path.exists() and not overwrite:
            raise UserError(f"--out: {path} exists; say --overwrite to replace it")

    def append(self, text: str) -> None:
        """Write all of the text; where that fails nothing of it stays.

        Raises:
            UserError: the file cannot be written.
        """
        content = text.encode(errors="backslashreplace")
        if self.path is None:
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
            return
        try:
            self._append(self._file or self._open(self.path), content)
        except OSError as error:
            raise UserError(f"--out: {self.path}: {error.strerror}") from error

    def _open(self, path: Path) -> FileIO:
        self._file = FileIO(path, "w")
        return self._file

    @staticmethod
    def _append(file: FileIO, content: bytes) -> None:
        start = file.tell()
        try:
            while content:
                content = content[file.write(content) :]
        except BaseException:
            file.truncate(start)
            raise

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file:
            self._file.close()
