"""Several runs in a row, each of which may start from, or learn from, what an earlier one gave.

A stage is a list of overrides on top of the run's own. All stages but the last have a folder of their own below
`stages_dir`; the last one's results are those of the run.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from kd.plan import Plan, make_plan
from kd.schemes.base import STUDENT
from potstill.errors import UserError

STAGES = "stages"


def compose_stages(config: DictConfig, overrides: Sequence[str], run_dir: Path) -> dict[str, DictConfig]:
    """The config of every stage, by its name.

    A stage that makes a choice anew, such as `student=…`, starts from that choice's own defaults: what the run says of
    it, such as `student.hidden_size=…`, does not reach the stage.

    Args:
        config: of the run, with its stages.
        overrides: that made it.
        run_dir: where the results go.
    """
    stages = OmegaConf.to_container(config.stages)
    if not isinstance(stages, dict):
        raise UserError(f"stages: {stages!r} names no stages; say +stages.NAME=[…]")
    configs = {str(name): _compose(str(name), own, overrides) for name, own in stages.items()}
    *before, last = configs
    for name in before:
        configs[name].update({"run_dir": str(run_dir / STAGES / name), "baseline": False, "stages": {}})
    configs[last].update({"run_dir": str(run_dir), "stages": config.stages})
    for stage in configs.values():
        stage.stages_dir = str(run_dir / STAGES)
    return configs


def _compose(name: str, own: Any, overrides: Sequence[str]) -> DictConfig:
    if not isinstance(own, list) or not all(isinstance(override, str) for override in own):
        raise UserError(f"stages.{name}: {own!r} is no list of overrides, such as [kd=none]")
    anew = [_place(override) for override in own]
    kept = [override for override in overrides if not any(_covers(place, _place(override)) for place in anew)]
    return compose("train", overrides=[*kept, *own])


def _place(override: str) -> str:
    """Where in the config an override writes."""
    parsed: Override = OverridesParser.create().parse_override(override)
    return parsed.package or parsed.key_or_group


def _covers(new: str, old: str) -> bool:
    return old == new or old.startswith(f"{new}.")


def saved_stages(config: DictConfig, run_dir: Path) -> dict[str, DictConfig]:
    """The configs of a run's stages as they were written, pointing to where the run is now."""
    *names, last = map(str, config.stages)
    found = {name: OmegaConf.load(run_dir / STAGES / name / "config.yaml") for name in names}
    for name, stage in found.items():
        stage.run_dir = str(run_dir / STAGES / name)
    found[last] = config
    for stage in found.values():
        stage.stages_dir = str(run_dir / STAGES)
    return found  # type: ignore[return-value]


def plan_stages(configs: dict[str, DictConfig]) -> dict[str, str]:
    """The plan of every stage as text; what an earlier one will give stands there without weights.

    Raises:
        UserError: a stage asks for something that cannot be.
    """
    return {name: text for name, _, text in planned(configs)}


def planned(configs: dict[str, DictConfig]) -> Iterator[tuple[str, Plan, str]]:
    """The name, the plan and its text of each stage in turn.

    Raises:
        UserError: a stage asks for something that cannot be.
    """
    with tempfile.TemporaryDirectory() as place:
        for name, config in configs.items():
            planned = OmegaConf.merge(config, {"stages_dir": place})
            assert isinstance(planned, DictConfig)
            try:
                plan = make_plan(planned)
            except UserError as error:
                raise UserError(f"stages.{name}: {error}".replace(place, config.stages_dir)) from error
            yield name, plan, str(plan).replace(place, config.stages_dir)
            plan.drafts[STUDENT].save_outline(Path(place) / name / STUDENT)


def parted(run_dir: str) -> tuple[Path, str | None]:
    """The folder of a whole run, and the stage whose folder below it this one is; None where it is the run's."""
    folder = Path(run_dir).absolute()
    return (folder.parent.parent, folder.name) if folder.parent.name == STAGES else (folder, None)


def stage_of(config: DictConfig) -> str | None:
    """The stage that a config is of; None where there are none."""
    _, stage = parted(config.run_dir)
    return stage or next(reversed(list(config.stages)), None)


def updates_before(start_from: str | None, task: str) -> int:
    """How many updates for a task the weights have behind them that a student starts from, as far as its run tells."""
    path = Path(start_from).parent / "report.json" if start_from else None
    report = json.loads(path.read_text()) if path and path.is_file() else {}
    return report.get("updates", 0) if report.get("task") == task else 0


def seconds_before(run_dir: Path, part: str) -> float:
    """What the stages before the last one took, of one part of the seconds in a report."""
    reports = (run_dir / STAGES).glob("*/report.json")
    return sum(json.loads(report.read_text())[part] for report in reports)
