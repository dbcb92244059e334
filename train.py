"""Distil a teacher into a student and report what it cost: `python train.py [CHOICE=NAME | KEY=VALUE] …`."""

import json
import logging
import os
import platform
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import hydra
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.utilities import rank_zero_only

from deploy.evaluate import comparison, evaluate, write_predictions
from kd import ranks
from kd.assembly import Assembly
from kd.plan import Plan, make_plan
from kd.schemes.base import TEACHER
from kd.stages import STAGES, compose_stages, plan_stages, saved_stages, seconds_before, updates_before
from kd.trackers.lineage import lineage
from kd.trackers.runs import figures_of
from kd.trackers.session import opened
from models.early_exit import load_exits
from models.network import Network
from models.transformer import load
from potstill import sweeps
from potstill.errors import UserError, disk_is_full
from potstill.explain import explain
from potstill.terminal import quiet
from reports.run_report import write_report

log = logging.getLogger(__name__)

failed: list[str] = []
VERSIONS = ("torch", "transformers", "datasets", "pytorch-lightning", "hydra-core")
OmegaConf.register_new_resolver("first", lambda *values: next(value for value in values if value), replace=True)


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parent / "conf"), config_name="train")
def main(config: DictConfig) -> float | None:
    """Do what the config says; gives the student's score in validation, for sweeps.

    In a sweep a job that cannot run says why and the others go on; `command_line` then ends with an error.
    """
    quiet()  # here too: launchers start it in processes of their own
    overrides = sweeps.plain(HydraConfig.get().overrides.task)
    try:
        if config.resume:
            config, overrides = resumed(config, overrides)
        if "budget" in config and HydraConfig.get().mode == RunMode.RUN:
            raise UserError("hparams_search=budget: a search is many runs; add -m")
        if config.quiet:
            logging.getLogger().setLevel(logging.WARNING)
        if config.explain:
            print(explain(config, overrides))
            return None
        if HydraConfig.get().mode == RunMode.MULTIRUN and not config.plan:
            return sweep_job(config, overrides)
        return run_stages(config, overrides) if config.stages else run(config, overrides)
    except Exception as error:
        reason = users_mistake(error)
        sweeps.note_failure(reason or f"{type(error).__name__}: {error}".splitlines()[0])
        if reason is None:
            raise
        print(f"error: {reason}", file=sys.stderr, flush=True)
        failed.append(reason)
        return None
    finally:
        remove_if_empty(Path(HydraConfig.get().runtime.output_dir))


def sweep_job(config: DictConfig, overrides: list[str]) -> float | None:
    """One run of a sweep, in a process of its own; None where it failed."""
    folder, hydra_config = Path(config.run_dir).absolute(), HydraConfig.get()
    quiet = sweeps.quiet or "BasicLauncher" not in hydra_config.launcher._target_
    try:
        return sweeps.run_job(folder, overrides, partial(save_config, folder, config, overrides), quiet)
    except (sweeps.JobError, UserError) as error:
        place = sweeps.failures(hydra_config.sweep.dir) / f"{hydra_config.job.num}.txt"
        sweeps.note_failure(f"{folder}: {error}", place)
        if isinstance(error, UserError):
            raise
        return None


def run_stages(config: DictConfig, overrides: list[str]) -> float | None:
    """Plan all stages, then run those that have not ended yet; gives the last one's score in validation."""
    folder = Path(config.run_dir)
    refuse_taken(folder, config)
    begun = config.resume and (folder / STAGES).exists()
    configs = saved_stages(config, folder) if begun else compose_stages(config, overrides, folder)
    if not begun:
        for name, plan in plan_stages(configs).items():
            say(f"stage     {name}\n{plan}\n", config)
    if config.plan:
        return None
    if not begun:
        for stage in configs.values():
            save_config(Path(stage.run_dir), stage, overrides)
    score = None
    for name, stage in configs.items():
        if name != list(configs)[-1] and (Path(stage.run_dir) / "report.json").exists():
            continue
        say(f"stage {name}", config)
        stage.resume = stage.run_dir
        score = run(stage, overrides)
        ranks.wait_for_all()
    return score


def run(config: DictConfig, overrides: list[str]) -> float | None:
    """Plan; teacher, student, baseline; report. Gives the student's score in validation."""
    folder = Path(config.run_dir)
    refuse_taken(folder, config)
    plan = make_plan(config)
    say(str(plan), config)
    if config.plan:
        return None
    save_config(folder, config, overrides)
    with opened(config) as loggers:
        assembly = Assembly(config, plan, folder, loggers)
        teachers, teacher_seconds = assembly.teachers()
        if loggers:
            origins = lineage(teachers, config.start_from)
            for logger in loggers:
                logger.log_hyperparams({"lineage": origins})
        teacher = teachers.get(TEACHER)
        student, distilled, store_seconds = assembly.distil(teachers)
        baseline, updates = None, distilled.updates + updates_before(config.start_from, plan.task.name)
        if config.baseline:
            baseline = student if plan.is_baseline else assembly.baseline(teacher, updates)
        if not ranks.is_first():
            return None
        student.save(folder / "student")
        seconds = {"teacher_seconds": teacher_seconds, "store_seconds": store_seconds}
        seconds |= {"distill_seconds": distilled.seconds}
        seconds = {part: now + seconds_before(folder, part) for part, now in seconds.items()}
        facts = seconds | {"updates": updates, "validation_score": distilled.score}
        content = report(folder, plan, config, {"teacher": teacher, "baseline": baseline}, facts, overrides)
        for logger in loggers:
            logger.conclude(figures_of(content), folder)
    return distilled.score


def report(
    folder: Path,
    plan: Plan,
    config: DictConfig,
    others: dict[str, Network | None],
    facts: dict[str, float | None],
    overrides: list[str],
) -> dict[str, Any]:
    """Measure the student as it was saved, beside teacher and baseline, and write the report."""
    networks = {role: network for role, network in others.items() if network is not None}
    exits = load_exits(folder / "student")
    networks |= {"student": load(folder / "student")} | exits
    data, on_cpu = config.data, config.trainer.accelerator == "cpu" or not torch.cuda.is_available()
    device = torch.device("cpu" if on_cpu else "cuda")
    figures, predictions = evaluate(networks, plan.examples, plan.task, data.max_length, data.eval_batch_size, device)
    write_predictions(folder / "predictions.csv", plan.examples, plan.task, predictions["student"])
    content: dict[str, Any] = {"task": plan.task.name, "metric": plan.task.metric, "split": "test"}
    content |= {role: figures.get(role) for role in ("teacher", "student", "baseline")}
    content |= {"exits": {name: figures[name] for name in exits}}
    content |= comparison(figures) | facts
    content |= {"versions": {name: version(name) for name in VERSIONS} | {"python": platform.python_version()}}
    content |= {"overrides": overrides}
    (folder / "report.json").write_text(json.dumps(content, indent=2))
    print(f"\n{write_report(folder)}\nsaved in {folder}", flush=True)
    return content


def resumed(config: DictConfig, overrides: list[str]) -> tuple[DictConfig, list[str]]:
    """The config and overrides of the run to go on with.

    Raises:
        UserError: there is no such run, or more is asked for than to go on.
    """
    folder = Path(config.resume)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"resume: {folder} is no run folder (no config.yaml)")
    others = [override for override in overrides if not override.startswith("resume=")]
    if others:
        raise UserError(f"resume: a run goes on with its own config; leave out {' '.join(others)}")
    saved = cast(DictConfig, OmegaConf.load(folder / "config.yaml"))
    if unknown := [str(key) for key in config if key not in saved and key != "logger"]:  # which may be none
        raise UserError(
            f"resume: {folder} was made by an earlier version, which had no {', '.join(unknown)}; "
            f"begin anew with what {folder / 'overrides.yaml'} says"
        )
    saved.run_dir = saved.resume = str(folder)  # it may have been moved
    return saved, [str(override) for override in OmegaConf.load(folder / "overrides.yaml")]


@rank_zero_only
def say(text: str, config: DictConfig) -> None:
    """Print at once, in one process, unless the run is to be quiet; a plan that was asked for is always told."""
    if config.plan or not config.quiet:
        print(text, flush=True)


@rank_zero_only
def refuse_taken(folder: Path, config: DictConfig) -> None:
    """Refuse to begin a run where another one is.

    Raises:
        UserError: the folder holds a run that is not to be gone on with.
    """
    if not config.resume and (folder / "config.yaml").exists():
        raise UserError(f"run_dir: {folder} holds a run already; go on with resume={folder} or take another folder")


@rank_zero_only
def save_config(folder: Path, config: DictConfig, overrides: list[str]) -> None:
    """Write what the run was asked to do; figures of an interrupted run are kept beside those to come."""
    folder.mkdir(parents=True, exist_ok=True)
    metrics = folder / "metrics.csv"
    if metrics.exists():
        metrics.rename(folder / f"metrics-{len(list(folder.glob('metrics-*.csv'))) + 1}.csv")
    if config.resume:
        return
    OmegaConf.save(OmegaConf.merge(config, {"run_dir": str(folder)}), folder / "config.yaml")
    OmegaConf.save(OmegaConf.create(overrides), folder / "overrides.yaml")
    if HydraConfig.initialized():
        names = dict(HydraConfig.get().runtime.choices)
        names["experiment"] = names.pop(sweeps.RECIPE, names["experiment"])
        own = {group: name for group, name in names.items() if not group.startswith("hydra/")}
        OmegaConf.save(OmegaConf.create(own), folder / "choices.yaml")


def remove_if_empty(folder: Path) -> None:
    """Hydra makes a folder for every job, also for one that only plans."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def users_mistake(error: BaseException) -> str | None:
    """One line for what the user can put right; None for a fault of ours."""
    if not isinstance(error, UserError) and isinstance(error.__cause__, UserError):  # a constructor's, wrapped by Hydra
        return str(error.__cause__)
    if disk_is_full(error):
        return f"the disk is full ({' '.join(str(error).split())}); make room, then go on with resume=RUN_DIR"
    if isinstance(error, UserError | HydraException | OmegaConfBaseException):
        return " ".join(str(error).split())
    return None


def command_line() -> int:
    """Run `main`; a user's mistake becomes one line, a fault of ours keeps its traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would cut tracebacks and exit by itself
    quiet()
    failed.clear()
    try:
        sys.argv[1:] = sweeps.gone_on(sys.argv[1:])
        main()
    except (HydraException, UserError) as error:
        print(f"error: {users_mistake(error)}", file=sys.stderr)
        return 1
    return 1 if failed or sweeps.failed else 0


if __name__ == "__main__":
    sys.exit(command_line())
