"""What a run would do, worked out without loading a weight; impossible combinations end here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from transformers import SchedulerType

from data.classification import Classification
from data.examples import Examples, prepare
from data.sources import Columns
from kd.fitting import resolve_precision
from kd.objective import Terms, fitting_terms
from kd.schemes.base import STUDENT, TEACHER, Pair, Scheme
from kd.schemes.offline import Alone
from kd.teachers import check_labels, has_trained_head
from models.blueprint import Blueprint, Draft
from potstill.errors import UserError

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
MOST = {"kd.label_weight": math.inf, "optimizer.lr": math.inf, "optimizer.warmup": 1}


@dataclass(frozen=True)
class Plan:
    """Everything that is known before a weight is loaded.

    Args:
        examples: the data.
        task: what is done with them.
        teacher: draft of the teacher, where there is one.
        teacher_is_tuned: whether its checkpoint has a trained head already.
        drafts: of all networks that train, by name.
        scheme: who learns from whom.
        pairs: the scheme's pairs.
        terms: knowledge terms of each pair, by the pair's name; not connected yet.
        steps_per_epoch, epochs: length of the distillation.
        notes: decisions that the user should see.
    """

    examples: Examples
    task: Classification
    teacher: Draft | None
    teacher_is_tuned: bool
    drafts: Mapping[str, Draft]
    scheme: Scheme
    pairs: list[Pair]
    terms: Mapping[str, Terms]
    steps_per_epoch: int
    epochs: int
    notes: list[str]

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The plan for a reader."""
        examples, steps = self.examples, self.steps_per_epoch
        lines = [
            f"data      {len(examples.train):,} labelled and {len(examples.unlabelled):,} unlabelled training rows, "
            f"{len(examples.validation):,} validation, {len(examples.test):,} test; "
            f"classes {', '.join(examples.labels)}"
        ]
        lines += [f"          {note}" for note in examples.notes]
        if self.teacher:
            state = "used as it is" if self.teacher_is_tuned else "fine-tuned on the labelled rows, or found so"
            lines += [f"teacher   {self.teacher.spec}; {self.teacher.origin}; {state}"]
        for name, draft in self.drafts.items():
            lines += [f"{name:9} {draft.spec}; {draft.origin}"]
        for pair in self.pairs:
            lines += [f"pair      {pair.learner} <- {pair.teacher or 'labels'}: {self._terms_of(pair)}"]
        lines += [f"training  {self.epochs} epochs of {steps:,} steps: {self.epochs * steps:,} steps"]
        return lines + [f"note      {note}" for note in self.notes]

    def _terms_of(self, pair: Pair) -> str:
        if pair.teacher_spec is None:
            return "label loss"
        described = {
            name: term.describe(pair.learner_spec, pair.teacher_spec) for name, term in self.terms[str(pair)].items()
        }
        return "; ".join(f"{name} ({text})" if text else name for name, text in described.items()) or "nothing"


def make_plan(config: DictConfig) -> Plan:
    """Work a config out as far as it goes without weights.

    Raises:
        UserError: the config asks for something that cannot be.
    """
    check_counts(config)
    check_training(config)
    if config.data.label is None:
        raise UserError("data.label: name the column of the labels")
    columns = Columns(config.data.text, config.data.label, config.data.group)
    splits = read(config, columns)
    examples = prepare(splits, instantiate(config.data.split), config.data.labels)
    task = Classification(examples.labels, config.data.metric)
    teacher, tuned = draft_teacher(config, examples)
    scheme: Scheme = instantiate(config.scheme, _convert_="all")
    if not config.kd.terms and scheme.needs_teacher:
        scheme = Alone()
    if scheme.needs_teacher and teacher is None:
        raise UserError(f"teacher=none: kd={'+'.join(config.kd.terms)} with this scheme needs a teacher, or kd=none")
    drafts = draft_learners(config, scheme, examples, teacher)
    specs = {name: draft.spec for name, draft in drafts.items()}
    pairs = scheme.pairs(specs | ({TEACHER: teacher.spec} if teacher else {}))
    terms, notes = {}, []
    for pair in pairs:
        terms[str(pair)], left_out = fitting_terms(pair, lambda: instantiate(config.kd.terms, _convert_="all"))
        notes += left_out
    rows = len(examples.transfer if config.kd.terms else examples.train)
    if not config.kd.label_weight and not any(pair.teacher == TEACHER for pair in pairs):
        raise UserError("kd.label_weight=0: without labels and without a teacher that has seen some, nobody learns")
    check_lengths(config.data.max_length, [*drafts.values(), *([teacher] if teacher else [])])
    batches = math.ceil(rows / config.data.batch_size) // ranks_of(config)
    steps = math.ceil(batches / config.trainer.accumulate_grad_batches)
    return Plan(examples, task, teacher, tuned, drafts, scheme, pairs, terms, steps, config.trainer.max_epochs, notes)


def check_lengths(max_length: int, drafts: list[Draft]) -> None:
    """Refuse texts longer than a network has positions for."""
    for draft in drafts:
        positions = getattr(draft.config, "max_position_embeddings", None)
        if positions and max_length > (most := min(positions, draft.tokenizer.model_max_length)):
            raise UserError(f"data.max_length: {max_length} tokens, but {draft.spec.kind} reads {most} at most")


def ranks_of(config: DictConfig) -> int:
    """How many processes share an epoch, as far as the config tells: `devices=auto` counts as one."""
    devices = config.trainer.devices
    return devices * config.trainer.get("num_nodes", 1) if isinstance(devices, int) and devices > 0 else 1


def check_counts(config: DictConfig) -> None:
    """Refuse anything but a whole number where things are counted, a number where they are weighed."""
    for key, least in LEAST.items():
        value = OmegaConf.select(config, key)
        if not isinstance(value, int) or value < least:
            raise UserError(f"{key}: {value!r} is not a whole number from {least} on")
    for key, most in MOST.items():
        value = OmegaConf.select(config, key)
        if not isinstance(value, int | float) or not 0 <= value <= most:
            raise UserError(f"{key}: {value!r} is not a number from 0 to {most}")
    for key in ("baseline", "teacher.train"):
        if not isinstance(value := OmegaConf.select(config, key), bool):
            raise UserError(f"{key}: {value!r} is neither true nor false")


def check_training(config: DictConfig) -> None:
    """Refuse a trainer, precision or schedule that is not to be had, before hours have gone into a teacher."""
    if config.optimizer.schedule not in (known := [kind.value for kind in SchedulerType]):
        raise UserError(f"optimizer.schedule: {config.optimizer.schedule!r} is none of {', '.join(known)}")
    precision = resolve_precision(config.trainer.precision, config.trainer.accelerator)
    try:
        instantiate(config.trainer, precision=precision, logger=False, enable_checkpointing=False)
    except InstantiationException as error:
        raise UserError(f"trainer: {error.__cause__ or error}") from error


def read(config: DictConfig, columns: Columns) -> dict[str, datasets.Dataset]:
    """The splits of the config's source."""
    return instantiate(config.data.source, _convert_="all").read(columns, Path(config.cache_dir))


def draft_teacher(config: DictConfig, examples: Examples) -> tuple[Draft | None, bool]:
    """The teacher without weights, and whether it is fine-tuned already.

    Raises:
        UserError: it must not be fine-tuned but has not been, or its classes are not the data's.
    """
    if config.teacher.model is None:
        return None, False
    blueprint: Blueprint = instantiate(config.teacher.model, _convert_="all")
    draft = blueprint.draft(examples.labels, None, lambda: [])
    original = blueprint.config(draft.tokenizer, None)
    tuned = has_trained_head(original)
    if tuned:
        check_labels(original, examples.labels)
    elif not config.teacher.train:
        raise UserError(f"teacher.train=false, but {draft.origin} have no trained classifier; say teacher.train=true")
    return draft, tuned


def draft_learners(config: DictConfig, scheme: Scheme, examples: Examples, teacher: Draft | None) -> dict[str, Draft]:
    """Everything that trains, without weights."""
    student: Blueprint = instantiate(config.student, _convert_="all")
    blueprints = {STUDENT: student} | {name: peer or student for name, peer in scheme.peers().items()}

    def texts() -> Any:
        for batch in examples.transfer.iter(batch_size=1000):
            yield from (text for column in ("text", "text_pair") for text in batch.get(column, []))

    return {name: blueprint.draft(examples.labels, teacher, texts) for name, blueprint in blueprints.items()}
