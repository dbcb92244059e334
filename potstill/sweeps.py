"""Many runs by one command: each job is a process of its own, which goes by a config that was written down for it."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from potstill.errors import UserError

log = logging.getLogger(__name__)

CONFIG, OVERRIDES, REPORT, FAILED, OUTPUT = "config.yaml", "overrides.yaml", "report.json", "failed.txt", "output.txt"
GOING_ON = "sweep.resume="
LAUNCHER = "launcher="
RECIPE = "experiment@_global_"  # beside experiment=recipes, which is taken
NOTE = "POTSTILL_FAILED"  # where a job writes why it ended

failed: list[str] = []  # what failed in the sweep that has just ended
quiet = False  # whether what jobs say goes into files, though one runs at a time


def run_job(folder: Path, overrides: Sequence[str], save: Callable[[], None], quiet: bool) -> float | None:
    """One run of a sweep; gives its score in validation.

    A run that has ended before is not repeated, one that was interrupted goes on. So that several processes can train
    together in a job, it is a command without any sweep about it: `train.py resume=FOLDER`.

    Args:
        folder: of the run.
        overrides: that make it.
        save: writes its config.
        quiet: whether other jobs run beside it: what it says goes into a file then.

    Raises:
        JobError: the job said why.
        UserError: the folder holds another run.
    """
    if (folder / CONFIG).exists():
        if (saved := [str(override) for override in OmegaConf.load(folder / OVERRIDES)]) != list(overrides):
            raise UserError(f"hydra.sweep.dir: {folder} holds another run ({' '.join(saved)}); take another one")
    else:
        save()
    (folder / FAILED).unlink(missing_ok=True)
    if (folder / REPORT).exists():
        log.info("%s: found", folder)
        return score_of(folder)
    code = _in_a_process(folder, quiet)
    if code or not (folder / REPORT).exists():
        note_failure(f"ended by exit code {code}", folder / FAILED)
        raise JobError(reason_of(folder))
    return score_of(folder)


class JobError(Exception):
    """A job of a sweep has failed, and said why."""


def _in_a_process(folder: Path, quiet: bool) -> int:
    command = [sys.executable, str(Path(__file__).parent.parent / "train.py"), f"resume={quoted(folder)}"]
    environment = os.environ | {NOTE: str(folder / FAILED)}
    out = (folder / OUTPUT).open("a") if quiet else None
    errors = subprocess.STDOUT if quiet else None
    with out or nullcontext(), subprocess.Popen(command, env=environment, stdout=out, stderr=errors) as job:
        try:
            return job.wait()
        except BaseException:
            job.terminate()  # it keeps what it has
            raise


def plain(overrides: Sequence[str]) -> list[str]:
    """The overrides of a job as one would say them for that run alone.

    Without where the sweep's jobs run, and with the recipe that experiment=recipes chose as experiment=NAME.
    """
    kept = [override for override in overrides if not override.startswith(LAUNCHER)]
    chosen = [override.split("=", 1)[1] for override in kept if override.startswith(f"+{RECIPE}=")]
    others = [override for override in kept if not override.startswith((f"+{RECIPE}=", "experiment="))]
    return [*(f"experiment={name}" for name in chosen), *others] if chosen else kept


def quoted(value: object) -> str:
    """A text as Hydra's command line takes it, whatever is in it."""
    doubled = re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + found[2].replace("'", r"\'"), str(value))
    return f"'{doubled}'"


def reason_of(folder: Path) -> str:
    """Why a run of a sweep failed; empty where nothing was written down."""
    return path.read_text(encoding="utf-8").strip() if (path := folder / FAILED).exists() else ""


def score_of(folder: Path) -> float | None:
    """The student's score in validation; None where its run was too short for one."""
    return json.loads((folder / REPORT).read_text())["validation_score"]


def note_failure(reason: str, place: Path | None = None) -> None:
    """Write down why a job of a sweep ended; of several processes the first one's reason stays.

    Args:
        reason: in one line.
        place: the file; where this process is a job it knows it.
    """
    path = place or (Path(os.environ[NOTE]) if NOTE in os.environ else None)
    if path is not None and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(reason + "\n", encoding="utf-8")


def gone_on(arguments: Sequence[str], outputs: Path = Path("outputs")) -> list[str]:
    """The command line with `sweep.resume=true` replaced by the folder of the last sweep of the same overrides.

    Raises:
        UserError: there is none.
    """
    others = [argument for argument in arguments if not argument.startswith(GOING_ON)]
    asked = [argument.removeprefix(GOING_ON) for argument in arguments if argument.startswith(GOING_ON)]
    if wrong := [value for value in asked if value.lower() not in ("true", "false")]:
        raise UserError(f"{GOING_ON}{wrong[0]}: not true or false; for a folder say hydra.sweep.dir={wrong[0]}")
    asks = "true" in map(str.lower, asked)
    if not asks or any(argument.startswith("hydra.sweep.dir=") for argument in others):
        return others
    of_hydra = ("-", "hydra.", "hydra/", LAUNCHER)
    words = [argument for argument in others if not argument.lstrip("+~").startswith(of_hydra)]
    for path in sorted(outputs.glob("*/multirun.yaml"), key=lambda path: path.stat().st_mtime, reverse=True):
        if words == _words_of(path):
            return [*others, f"hydra.sweep.dir={quoted(path.parent)}"]
    raise UserError(f"{GOING_ON}true: no sweep of these overrides in {outputs}; leave it out, or say hydra.sweep.dir=…")


def _words_of(path: Path) -> list[str] | None:
    """The overrides of a sweep from before; None where its file is damaged."""
    try:
        saved: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        return [word for word in saved["hydra"]["overrides"]["task"] if not word.startswith(LAUNCHER)]
    except (OSError, ValueError, KeyError, TypeError, YAMLError):
        return None


class Summary(Callback):
    """Says how a sweep ended, from what its jobs wrote into its folder `failed`, whichever processes they were."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        place = failures(config.hydra.sweep.dir)
        if config.get("plan") or not place.is_dir():
            return
        for path in _numbered(place):
            path.unlink()
        with suppress(OSError):  # somebody else's files are there
            place.rmdir()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        if config.get("plan"):
            return
        places = _numbered(failures(config.hydra.sweep.dir))
        reasons = [path.read_text(encoding="utf-8").strip() for path in places]
        failed[:] = reasons
        if Path(config.hydra.sweep.dir).exists():
            what = f"{len(reasons)} failed" if reasons else "all runs are done"
            print("\n".join([f"sweep: {config.hydra.sweep.dir}: {what}", *reasons]), flush=True)


def _numbered(place: Path) -> list[Path]:
    """What jobs wrote, in their order."""
    return sorted((path for path in place.glob("*.txt") if path.stem.isdigit()), key=lambda path: int(path.stem))


def failures(sweep_dir: str) -> Path:
    """Where the jobs of a sweep write why they failed."""
    return Path(sweep_dir).absolute() / "failed"


def threads(jobs: int) -> int:
    """Threads for each of so many jobs beside each other on this machine; of -1, one a processor."""
    processors = torch.get_num_threads() if jobs > 0 else 1
    return max(1, processors // max(1, jobs))


OmegaConf.register_new_resolver("threads", threads, replace=True)
