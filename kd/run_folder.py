"""The folder of a run: who may write there, what was asked for, and what is gone on with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.utilities import rank_zero_only
from yaml import YAMLError

from kd import ranks
from kd.stages import STAGES
from potstill import sweeps
from potstill.errors import UserError
from potstill.sweeps import CONFIG, OVERRIDES

LOCK = "run.lock"
WRITTEN = ("report.json", "report.md", "report.png", "predictions.csv", "metrics.csv", "student", "distill", STAGES)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder; of several that train together the first one does it for all.

    Raises:
        UserError: another one is there, or there can be no such folder.
    """
    if not ranks.is_first():
        yield
        return
    lock = FileLock(made(folder) / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"run_dir: another process works in {folder}; wait for it, or take another folder") from None
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        remove_if_empty(folder)  # nothing had begun


def made(folder: Path) -> Path:
    """A folder, made where there is none.

    Raises:
        UserError: there can be none.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}") from error
    return folder


@rank_zero_only
def refuse_taken(folder: Path, config: DictConfig) -> None:
    """Refuse to begin a run where another one is, or something that it would write over.

    Raises:
        UserError: the line says what is there.
    """
    if config.resume:
        return
    if (folder / CONFIG).exists():
        raise UserError(f"run_dir: {folder} holds a run already; go on with resume={folder} or take another folder")
    if there := [name for name in WRITTEN if (folder / name).exists()]:
        raise UserError(f"run_dir: {folder} holds {there[0]} of something else; take another folder")


@rank_zero_only
def save_config(folder: Path, config: DictConfig, overrides: list[str]) -> None:
    """Write what the run was asked to do; figures of an interrupted run are kept beside those to come."""
    made(folder)
    metrics = folder / "metrics.csv"
    if metrics.exists():
        metrics.rename(folder / f"metrics-{len(list(folder.glob('metrics-*.csv'))) + 1}.csv")
    if config.resume:
        return
    OmegaConf.save(OmegaConf.create(overrides), folder / OVERRIDES)
    if HydraConfig.initialized():
        names = dict(HydraConfig.get().runtime.choices)
        names["experiment"] = names.pop(sweeps.RECIPE, names["experiment"])
        own = {group: name for group, name in names.items() if not group.startswith("hydra/")}
        OmegaConf.save(OmegaConf.create(own), folder / "choices.yaml")
    unfinished = folder / f"{CONFIG}.unfinished"
    OmegaConf.save(OmegaConf.merge(config, {"run_dir": str(folder)}), unfinished)
    os.replace(unfinished, folder / CONFIG)  # the last one: where it is, a run can be gone on with


def resumed(config: DictConfig, overrides: list[str]) -> tuple[DictConfig, list[str]]:
    """The config and overrides of the run to go on with.

    Raises:
        UserError: there is no such run, or more is asked for than to go on.
    """
    folder = Path(config.resume)
    if not (folder / CONFIG).is_file():
        raise UserError(f"resume: {folder} is no run folder (no {CONFIG})")
    others = [override for override in overrides if not override.startswith("resume=")]
    if others:
        raise UserError(f"resume: a run goes on with its own config; leave out {' '.join(others)}")
    saved = cast(DictConfig, _read(folder / CONFIG))
    if unknown := [str(key) for key in config if key not in saved and key != "logger"]:  # which may be none
        raise UserError(
            f"resume: {folder} was made by an earlier version, which had no {', '.join(unknown)}; "
            f"begin anew with what {folder / OVERRIDES} says"
        )
    saved.run_dir = saved.resume = str(folder)  # it may have been moved
    return saved, [str(override) for override in _read(folder / OVERRIDES)]


def _read(path: Path) -> DictConfig | ListConfig:
    try:
        found = OmegaConf.load(path)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"resume: {path} cannot be read: {error}") from error
    if found == {}:
        raise UserError(f"resume: {path} is empty; begin anew in another folder")
    return found


def remove_if_empty(folder: Path) -> None:
    """Hydra makes a folder for every job, also for one that only plans."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
