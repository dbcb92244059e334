"""Values that cannot be, refused before any work is done."""

import logging
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from transformers import SchedulerType

from data.task import Task
from kd.fitting import resolve_precision
from kd.schemes.base import Pair, Scheme
from kd.store.store import Settings
from models.blueprint import NO_TEXTS, Draft
from models.crf import EMISSIONS
from models.heads import MASKED, OF_POSITIONS, TAGS, problem_of, saved_as
from models.output import Spec
from models.sources import Folder
from models.transformer import Pretrained
from potstill import processor
from potstill.errors import UserError

log = logging.getLogger(__name__)
LEAST = {
    "seed": 0,
    "trainer.max_epochs": 1,
    "trainer.accumulate_grad_batches": 1,
    "data.batch_size": 1,
    "data.eval_batch_size": 1,
    "data.max_length": 1,
    "data.workers": 0,
    "checkpoint_every_n_steps": 1,
}
ON_ERROR = ("stop", "skip")
MOST = {"kd.label_weight": math.inf, "optimizer.lr": math.inf, "optimizer.warmup": 1}


def check_values(config: DictConfig) -> None:
    """Refuse what no run can have.

    Raises:
        UserError: the line names the key.
    """
    check_numbers(config)
    check_training(config)
    check_store(instantiate(config.store))
    if config.data.on_error not in ON_ERROR:
        raise UserError(f"data.on_error: {config.data.on_error!r} is none of {', '.join(ON_ERROR)}")
    if not OmegaConf.is_list(config.optimizer.frozen):
        raise UserError(f"optimizer.frozen: {config.optimizer.frozen!r} is no list, such as [encoder]")
    for key in ("baseline", "compile", "teacher.train"):
        if not isinstance(value := OmegaConf.select(config, key), bool):
            raise UserError(f"{key}: {value!r} is neither true nor false")


def check_numbers(config: DictConfig) -> None:
    """Refuse anything but a whole number where things are counted, a number where they are weighed."""
    for key, least in LEAST.items():
        value = OmegaConf.select(config, key)
        if not isinstance(value, int) or value < least:
            raise UserError(f"{key}: {value!r} is not a whole number from {least} on")
    for key, most in MOST.items():
        value = OmegaConf.select(config, key)
        if not isinstance(value, int | float) or not 0 <= value <= most:
            raise UserError(f"{key}: {value!r} is not a number from 0 to {most}")


def check_training(config: DictConfig) -> None:
    """Refuse a trainer, precision or schedule that is not to be had, before hours have gone into a teacher."""
    if config.optimizer.schedule not in (known := [kind.value for kind in SchedulerType]):
        raise UserError(f"optimizer.schedule: {config.optimizer.schedule!r} is none of {', '.join(known)}")
    precision = resolve_precision(config.trainer.precision, config.trainer.accelerator)
    try:
        trainer = instantiate(config.trainer, precision=precision, logger=False, enable_checkpointing=False)
    except InstantiationException as error:
        raise UserError(f"trainer: {error.__cause__ or error}") from error
    if "16" in precision and trainer.strategy.root_device.type == "cpu" and not processor.HAS_BFLOAT16:
        log.warning("trainer.precision=%s: this processor lacks bfloat16; 32-true is many times faster", precision)


def check_store(settings: Settings) -> None:
    """Refuse a folder that cannot be written, before a teacher is fine-tuned for it."""
    place = Path(settings.folder).absolute()
    place = next(path for path in (place, *place.parents) if path.exists())
    if settings.budget and not (place.is_dir() and os.access(place, os.W_OK)):
        raise UserError(f"store.folder: {settings.folder}: {place} is no folder that can be written; or say store=off")


def check_task(task: Task, columns: Collection[str], scheme: Scheme, specs: Mapping[str, Spec]) -> None:
    """Refuse what has no meaning for the task.

    Args:
        task: what is done with the texts.
        columns: of the data set.
        scheme: who learns from whom.
        specs: of all networks.
    """
    if scheme.suits is not None and task.problem not in scheme.suits:
        raise UserError(f"scheme: it has no meaning for {task.name}")
    if task.problem == TAGS and "text_pair" in columns:
        raise UserError("data.text: tags are those of one text; name one column")
    if task.problem == MASKED and len({spec.tokenizer for spec in specs.values()}) > 1:
        raise UserError("data/task=masked_lm: networks with different tokenizers cannot guess the same words")
    if task.problem in OF_POSITIONS and scheme.exits(specs):
        raise UserError(f"scheme: its exits have one answer for a text, and {task.name} asks for several")


def check_taught(pairs: Sequence[Pair], teachers: Collection[str]) -> None:
    """Refuse a run without labels in which somebody learns nothing.

    Args:
        pairs: of the scheme.
        teachers: names of the frozen ones.
    """
    if not any(name in teachers for pair in pairs for name in pair.teachers):
        raise UserError("kd.label_weight=0: without labels and without a teacher that has seen some, nobody learns")
    if alone := [pair.learner for pair in pairs if pair.teacher is None]:
        raise UserError(f"kd.label_weight=0: without labels {alone[0]} learns nothing")


def check_chain(learner: Draft, label_weight: float) -> None:
    """Refuse a conditional random field over what are no tags, or one whose transitions nobody teaches."""
    crf = getattr(learner.config, "crf", None)
    if crf and learner.problem != TAGS:
        raise UserError("student.crf: it is over the tags of words; say data/task=tagging, or student.crf=null")
    if crf == EMISSIONS and not label_weight:
        raise UserError(
            "kd.label_weight=0: only labels teach a chain whose emissions are compared; say student.crf=marginals"
        )


def check_lengths(max_length: int, drafts: list[Draft]) -> None:
    """Refuse texts longer than a network has positions for."""
    for draft in drafts:
        positions = getattr(draft.config, "max_position_embeddings", None)
        if positions and max_length > (most := min(positions, draft.tokenizer.model_max_length)):
            raise UserError(f"data.max_length: {max_length} tokens, but {draft.spec.kind} reads {most} at most")


def check_start(folder: str, student: Draft) -> None:
    """Refuse first weights that belong to another network, before any is loaded."""
    if not (Path(folder) / "config.json").is_file():
        raise UserError(f"start_from: {folder}: no student is saved there (no config.json)")
    blueprint = Pretrained(Folder(folder))
    tokenizer = blueprint.tokenizer(None, NO_TEXTS)
    config = blueprint.config(tokenizer, None)
    draft = Draft(blueprint, tokenizer, config, "", problem=problem_of(config))
    saved, own = draft.spec, student.spec
    same: list[tuple[str, Any, Any]] = [("tokenizer", saved.tokenizer, own.tokenizer)]
    if saved.problem == MASKED != own.problem:  # its encoder is taken
        unlike = draft.encoder.items() ^ student.encoder.items()
        same += [("network", saved, own)] if any("pooler" not in name for name, _ in unlike) else []
    else:
        same += [("network", f"{saved} ({saved.parameters:,})", f"{own} ({own.parameters:,})")]
        same += [("order of classes", draft.config.id2label, student.config.id2label)]
        same += [("task", saved.problem, saved_as(own.problem))]
    for what, theirs, ours in same:
        if theirs != ours:
            raise UserError(f"start_from: {folder} has another {what} than the student: {theirs}, not {ours}")
