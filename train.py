"""Distil a teacher into a student and report what it cost: `python train.py [CHOICE=NAME | KEY=VALUE] …`."""

import json
import logging
import os
import platform
import signal
import sys
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
from kd.run_folder import held, refuse_taken, remove_if_empty, resumed, save_config
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
begun: list[Path] = []  # the folder of the run, once it is known
INTERRUPTED, TERMINATED, BROKEN_PIPE = 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGPIPE
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
        begun.append(Path(config.run_dir))
        with nullcontext() if config.plan else held(Path(config.run_dir)):
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
        return sweeps.run_job(folder, overrides, partial(begin, folder, config, overrides), quiet)
    except (sweeps.JobError, UserError) as error:
        place = sweeps.failures(hydra_config.sweep.dir) / f"{hydra_config.job.num}.txt"
        sweeps.note_failure(f"{folder}: {error}", place)
        if isinstance(error, UserError):
            raise
        return None


def begin(folder: Path, config: DictConfig, overrides: list[str]) -> None:
    """Write a run's config where nothing is in its way."""
    refuse_taken(folder, config)
    save_config(folder, config, overrides)


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


@rank_zero_only
def say(text: str, config: DictConfig) -> None:
    """Print at once, in one process, unless the run is to be quiet; a plan that was asked for is always told."""
    if config.plan or not config.quiet:
        print(text, flush=True)


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
    """Run `main`; a user's mistake, or an interruption, becomes one line, a fault of ours keeps its traceback."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would cut tracebacks and exit by itself
    quiet()
    failed.clear()
    begun.clear()
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        sys.argv[1:] = sweeps.gone_on(sys.argv[1:])
        main()
    except (HydraException, UserError) as error:
        print(f"error: {users_mistake(error)}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # who reads standard output has had enough
        sys.stdout = None
        return BROKEN_PIPE
    except OSError as error:
        if begun or error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit) as error:
        return interrupted(error)
    finally:
        signal.signal(signal.SIGTERM, before)
    return 1 if failed or sweeps.failed else 0


def terminate(number: int, _: Any) -> None:
    """What SIGTERM does; Lightning calls it too."""
    sys.exit(128 + number)


def interrupted(error: BaseException) -> int:
    """Say how to go on after Ctrl-C or SIGTERM; gives the exit status. Any other exit goes on."""
    by_keyboard = isinstance(error, KeyboardInterrupt) or isinstance(error.__context__, KeyboardInterrupt)
    if not by_keyboard and not (isinstance(error, SystemExit) and error.code == TERMINATED):
        raise error
    how = f"go on with resume={begun[0]}" if begun and (begun[0] / sweeps.CONFIG).exists() else "nothing had begun"
    if {"-m", "--multirun"} & set(sys.argv):
        how = "the same command with sweep.resume=true goes on"
    if ranks.is_first():
        print(f"interrupted; {how}", file=sys.stderr)
    return INTERRUPTED if by_keyboard else TERMINATED


if __name__ == "__main__":
    sys.exit(command_line())
