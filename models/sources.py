"""Where pretrained weights come from: an installed package, the Hub, or a local folder."""

import shutil
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from potstill import fingerprint, packages
from potstill.errors import UserError


class Source(ABC):
    """A place that `from_pretrained` can read."""

    @abstractmethod
    def location(self) -> str:
        """Folder or Hub id."""

    def fingerprint(self) -> str:
        """Name of the content: files of a folder by their bytes."""
        folder = Path(self.location())
        return fingerprint.of_files(path for path in folder.iterdir() if path.is_file())


@dataclass(frozen=True)
class Folder(Source):
    """A local folder, as `save_pretrained` writes it."""

    path: str

    def location(self) -> str:
        if not (Path(self.path) / "config.json").is_file():
            raise UserError(f"{self.path}: no model here (no config.json)")
        return self.path


@dataclass(frozen=True)
class Package(Source):
    """A folder inside an installed distribution."""

    distribution: str
    member: str

    def location(self) -> str:
        return str(packages.member(self.distribution, self.member))


@dataclass(frozen=True)
class PackagedZip(Source):
    """A zip archive cut into parts that several installed distributions carry, unpacked into the cache.

    Args:
        parts: (distribution, member) of each part, in order.
        cache: where to unpack.
    """

    parts: Sequence[tuple[str, str]]
    cache: str

    def location(self) -> str:
        paths = [packages.member(distribution, member) for distribution, member in self.parts]
        folder = Path(self.cache) / "models" / fingerprint.of_value([list(part) for part in self.parts])
        if not folder.exists():
            self._unpack(paths, folder)
        return str(next(folder.rglob("config.json")).parent)

    @staticmethod
    def _unpack(paths: list[Path], folder: Path) -> None:
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        archive = unfinished / "joined.zip"
        with archive.open("wb") as joined:
            for path in paths:
                with path.open("rb") as part:
                    shutil.copyfileobj(part, joined)
        try:
            with zipfile.ZipFile(archive) as files:
                files.extractall(unfinished)
        except zipfile.BadZipFile as error:
            raise UserError(
                f"the parts {', '.join(path.name for path in paths)} make no zip archive: {error}"
            ) from error
        archive.unlink()
        unfinished.rename(folder)


@dataclass(frozen=True)
class Hub(Source):
    """A model of the Hugging Face Hub."""

    repository: str

    def location(self) -> str:
        return self.repository

    def fingerprint(self) -> str:
        """Name of the commit that the Hub gives now."""
        config = AutoConfig.from_pretrained(self.repository)
        return fingerprint.of_value([self.repository, getattr(config, "_commit_hash", None)])
