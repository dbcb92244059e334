"""Many runs by one command: each job is a process of its own, which goes by a config that was written down for it."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from potstill.errors import UserError

log = logging.getLogger(__name__)

OVERRIDES, REPORT, FAILED, OUTPUT = "overrides.yaml", "report.json", "failed.txt", "output.txt"
GOING_ON = "sweep.resume=true"

failed: list[str] = []  # reasons of jobs of the sweep that has just ended


def run_job(folder: Path, overrides: Sequence[str], save: Callable[[], None], quiet: bool) -> float | None:
    """One run of a sweep; gives its score, and where it failed None.

    A run that has ended before is not repeated, one that was interrupted goes on. So that several processes can train
    together in a job, it is a command without any sweep about it: `train.py resume=FOLDER`.

    Args:
        folder: of the run.
        overrides: that make it.
        save: writes its config.
        quiet: whether other jobs run beside it: what it says goes into a file then.

    Raises:
        UserError: the folder holds another run.
    """
    if (folder / OVERRIDES).exists():
        if (saved := [str(override) for override in OmegaConf.load(folder / OVERRIDES)]) != list(overrides):
            raise UserError(f"hydra.sweep.dir: {folder} holds another run ({' '.join(saved)}); take another one")
        if (folder / REPORT).exists():
            log.info("%s: found", folder)
            return score_of(folder)
    else:
        save()
    (folder / FAILED).unlink(missing_ok=True)
    code = _in_a_process(folder, quiet)
    if code and not (folder / FAILED).exists():
        note_failure(folder, f"ended by exit code {code}")
    return None if code else score_of(folder)


def _in_a_process(folder: Path, quiet: bool) -> int:
    command = [sys.executable, "train.py", f"resume={folder}"]
    root = Path(__file__).parent.parent
    if not quiet:
        return subprocess.run(command, cwd=root, check=False).returncode
    with (folder / OUTPUT).open("w") as output:
        return subprocess.run(command, cwd=root, check=False, stdout=output, stderr=subprocess.STDOUT).returncode


def score_of(folder: Path) -> float:
    """The student's score of a run that has ended."""
    return json.loads((folder / REPORT).read_text())["student"]["score"]


def note_failure(folder: Path, reason: str) -> None:
    """Write down why a run ended."""
    (folder / FAILED).write_text(reason + "\n", encoding="utf-8")


def gone_on(arguments: Sequence[str], outputs: Path = Path("outputs")) -> list[str]:
    """The command line with `sweep.resume=true` replaced by the folder of the last sweep of the same overrides.

    Raises:
        UserError: there is none.
    """
    others = [argument for argument in arguments if argument != GOING_ON]
    if len(others) == len(arguments) or any(argument.startswith("hydra.sweep.dir=") for argument in others):
        return others
    asked = {argument for argument in others if "=" in argument and not argument.startswith(("hydra.", "hydra/"))}
    for path in sorted(outputs.glob("*/multirun.yaml"), key=lambda path: path.stat().st_mtime, reverse=True):
        if asked == set(OmegaConf.load(path).hydra.overrides.task):
            return [*others, f"hydra.sweep.dir={path.parent}"]
    raise UserError(f"{GOING_ON}: no sweep of these overrides in {outputs}; leave it out, or say hydra.sweep.dir=…")


class Summary(Callback):
    """Says how a sweep ended."""

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.sweep.dir)
        runs = [path.parent for path in folder.glob(f"*/{OVERRIDES}")]
        reasons = {run: (run / FAILED).read_text().strip() for run in sorted(runs) if (run / FAILED).exists()}
        failed[:] = reasons.values()
        if runs:
            done = sum((run / REPORT).exists() for run in runs)
            print(f"sweep: {done} of {len(runs)} runs done in {folder}", flush=True)
        for run, reason in reasons.items():
            print(f"failed: {run}: {reason}", flush=True)


def threads(jobs: int) -> int:
    """Threads for each of so many jobs beside each other on this machine; of -1, one a processor."""
    processors = torch.get_num_threads() if jobs > 0 else 1
    return max(1, processors // max(1, jobs))


OmegaConf.register_new_resolver("threads", threads, replace=True)
