"""What lies in run folders: one record a run, whether it has ended, failed, or goes on."""

import json
import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from potstill.errors import UserError
from potstill.explain import leaves
from reports.checks import wrong

CONFIG, OVERRIDES, CHOICES = "config.yaml", "overrides.yaml", "choices.yaml"
REPORT, FAILED, STAGES = "report.json", "failed.txt", "stages"
FILES = (CONFIG, OVERRIDES, CHOICES, REPORT, FAILED)
DONE, BROKEN, UNFINISHED, PRUNED = "done", "failed", "unfinished", "pruned"
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # twenty times as fast where libyaml is there
# Of one search: another one, or a single run, can do nothing with it.
OF_A_SEARCH = ("callbacks=[pruning]", "callbacks.pruning.")


@dataclass(frozen=True)
class Run:
    """A run, as its folder tells it.

    Args:
        folder: of the run.
        state: `done`, `failed`, `pruned` by a search, or `unfinished`: neither a report nor a reason is there.
        reason: of the failure, in one line; it names the file where one cannot be read.
        overrides: what the command line said; None where that is not known.
        choices: the names of the choices, by group; empty where they were not written down.
        config: every value by its dotted key; the run's own folder is written `${run_dir}`.
        report: the content of `report.json`; empty unless the run is done.
    """

    folder: Path
    state: str = UNFINISHED
    reason: str = ""
    overrides: tuple[str, ...] | None = None
    choices: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def command(self) -> str:
        """What makes the run again, in a folder of its own; empty where nobody knows."""
        if self.overrides is None:
            return ""
        words = [word for word in self.overrides if not word.startswith(("run_dir=", "resume=", *OF_A_SEARCH))]
        return shlex.join(["python", "train.py", *words])

    @property
    def seed(self) -> str | None:
        """Of the config, else of the command line; None where neither tells one."""
        said = dict(word.partition("=")[::2] for word in self.overrides or ())
        seed = self.config.get("seed", said.get("seed"))
        return None if seed is None else str(seed)


def read_runs(folders: Iterable[Path]) -> list[Run]:
    """All runs at or below the folders, each once; the stages of a run are none of their own.

    Raises:
        UserError: a folder is not there.
    """
    folders = list(folders)
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
    found = {path.resolve(): path for folder in folders for path in run_folders(folder)}
    return [read(path) for path in sorted(found.values(), key=_in_order)]


def run_folders(folder: Path) -> Iterator[Path]:
    """The run folders at or below a folder; the stages of a run belong to it.

    Raises:
        UserError: a folder cannot be read.
    """
    for place, inner, files in os.walk(folder, onerror=_refuse):
        is_run = any(name in files for name in FILES)
        inner[:] = [name for name in inner if not name.startswith(".") and not (is_run and name == STAGES)]
        if is_run:
            yield Path(place)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # that of a run that goes on and clears up
        raise UserError(f"{error.filename}: {error.strerror}")


def stages(run: Run) -> list[Run]:
    """The stages before the last one."""
    folder = run.folder / STAGES
    return read_runs([folder]) if folder.is_dir() else []


def read(folder: Path) -> Run:
    """The run in a folder; one that cannot be read is a failed one."""
    return _read(folder, stamp(folder))


def stamp(folder: Path) -> tuple[int, ...]:
    """Changes when one of a run's files does."""
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in (folder / name for name in FILES))


@lru_cache(maxsize=10_000)
def _read(folder: Path, _stamp: tuple[int, ...]) -> Run:
    parts: dict[str, Any] = {}
    problems = []
    for part, parse in PARTS.items():
        try:
            parts[part] = parse(folder)
        except (OSError, ValueError, TypeError, RecursionError) as error:
            problems.append(_one_line(error))
    try:
        state, reason = _state(folder)
    except (OSError, ValueError) as error:
        state, reason = BROKEN, f"{FAILED}: {_one_line(error)}"
    if problems:
        state, reason, parts["report"] = BROKEN, problems[0], {}
    return Run(folder, state, reason, **parts)


def _state(folder: Path) -> tuple[str, str]:
    if (folder / REPORT).exists():
        return DONE, ""
    if (folder / FAILED).exists():
        reason = " ".join((folder / FAILED).read_text(encoding="utf-8").split()) or f"{FAILED} is empty"
        return (PRUNED if reason.startswith("pruned: ") else BROKEN), reason.removeprefix("pruned: ")
    return UNFINISHED, ""


def _overrides(folder: Path) -> tuple[str, ...] | None:
    path = folder / OVERRIDES
    content = _yaml(path) if path.exists() else _report(folder).get("overrides")
    if content is None:
        return None
    if not isinstance(content, list):
        raise ValueError(f"{OVERRIDES}: no list of overrides")
    return tuple(map(str, content))


def _choices(folder: Path) -> dict[str, Any]:
    return _mapping(folder / CHOICES)


def _config(folder: Path) -> dict[str, Any]:
    content = _mapping(folder / CONFIG)
    own = content.get("run_dir")
    return {
        key: value.replace(own, "${run_dir}") if isinstance(value, str) and isinstance(own, str) and own else value
        for key, value in leaves(content)
        if key
    }


def _report(folder: Path) -> dict[str, Any]:
    if not (folder / REPORT).exists():
        return {}
    try:
        text = (folder / REPORT).read_text(encoding="utf-8")
        content = json.loads(text, parse_constant=lambda _: None)  # NaN of a run that went astray
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{REPORT}: {error}") from None
    if problem := wrong(content):
        raise ValueError(f"{REPORT}: {problem}")
    return content


PARTS = {"overrides": _overrides, "choices": _choices, "config": _config, "report": _report}


def _mapping(path: Path) -> dict[str, Any]:
    content = _yaml(path) if path.exists() else {}
    if not isinstance(content, dict):
        raise ValueError(f"{path.name}: no keys with values")
    json.dumps(content, default=str)  # refuses what goes in circles
    return content


def _yaml(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{path.name}{place}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: {error}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _in_order(folder: Path) -> list[tuple[bool, int, str]]:
    """Jobs by number, then all else by name."""
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in folder.parts]
