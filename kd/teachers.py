"""Teachers: fine-tuned on demand, found again by fingerprint."""

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig

from data.task import Task
from kd import ranks
from kd.distiller import Optimisation
from kd.once import About, made_once
from models.blueprint import Blueprint, Draft
from models.heads import MASKED, has_head, other_head
from models.network import Network
from models.sources import Folder
from models.transformer import Pretrained
from potstill import fingerprint
from potstill.errors import UserError, check_counts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FineTuning:
    """How a teacher is fine-tuned: with AdamW and a linear schedule, whatever trains the student.

    Args:
        epochs: over the labelled training rows.
        learning_rate: its highest value.
        batch_size: rows a batch.
        weight_decay: of matrices.
        warmup: share of the steps over which the learning rate rises.
        seed: of everything random; apart from the run's, so that several seeds share one teacher.
    """

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    weight_decay: float = 0.01
    warmup: float = 0.1

    def __post_init__(self) -> None:
        check_counts("teacher.fine_tuning", self, ("epochs", "batch_size"))

    def optimisation(self, fused: bool) -> Optimisation:
        """How the weights move."""
        adamw = partial(torch.optim.AdamW, lr=self.learning_rate, weight_decay=self.weight_decay, fused=fused)
        return Optimisation(adamw, "linear", self.warmup, {})


@dataclass(frozen=True)
class Candidate:
    """A frozen teacher before it is one.

    Args:
        draft: of its network.
        tuned: whether its checkpoint has a trained head already.
        fine_tuning: how it is fine-tuned otherwise.
    """

    draft: Draft
    tuned: bool
    fine_tuning: FineTuning

    @property
    def state(self) -> str:
        """What is to be done with it, in words."""
        return "used as it is" if self.tuned else "fine-tuned on the labelled rows, or found so"


def draft_teacher(settings: Mapping[str, Any], task: Task, name: str) -> Candidate | None:
    """The teacher that the instantiated settings describe, without weights.

    Raises:
        UserError: it must not be fine-tuned but has not been, or its classes are not the data's.
    """
    blueprint: Blueprint | None = settings["model"]
    if blueprint is None:
        return None
    draft = blueprint.draft(task.labels, problem=task.problem)
    original = blueprint.config(draft.tokenizer, None)
    if other := other_head(original, task.problem):
        raise UserError(f"{name}: it has a head for another task ({other}); save its encoder alone, or say data/task=…")
    tuned = has_head(original, task.problem)
    if tuned and task.problem != MASKED:
        check_labels(original, tuple(task.labels), name)
    if not tuned and not settings["train"]:
        raise UserError(f"{name}: train=false, but {draft.origin} have no trained classifier; say train=true there")
    return Candidate(draft, tuned, settings["fine_tuning"])


def reseeded(teacher: Candidate, number: int) -> Candidate:
    """The same teacher, fine-tuned with another seed.

    Raises:
        UserError: it is not fine-tuned here.
    """
    if teacher.tuned:
        raise UserError("scheme.teachers: this teacher is not fine-tuned here; say +teacher@scheme.teachers.second=…")
    return replace(teacher, fine_tuning=replace(teacher.fine_tuning, seed=teacher.fine_tuning.seed + number))


def check_labels(config: PretrainedConfig, labels: tuple[str, ...], name: str = "teacher") -> None:
    """Compare a fine-tuned checkpoint's classes with the data's.

    Raises:
        UserError: their number, names or order differ. Names that transformers made up (`LABEL_0`)
            say nothing and are not compared.
    """
    theirs = tuple(str(label) for _, label in sorted((config.id2label or {}).items()))
    if len(theirs) != len(labels):
        raise UserError(f"{name}: it has {len(theirs)} classes ({', '.join(theirs)}), the data {len(labels)}")
    if theirs == labels or all(label.startswith("LABEL_") for label in theirs):
        return
    if set(theirs) == set(labels):
        raise UserError(f"{name}: its classes are in another order; say 'data.labels=[{','.join(theirs)}]'")
    raise UserError(f"{name}: its classes are {', '.join(theirs)}, the data's {', '.join(labels)}")


def fine_tuned(
    draft: Draft, key: object, settings: FineTuning, cache: Path, train: Callable[[Network, Path], float], run: Path
) -> tuple[Network, float]:
    """The draft's network after fine-tuning, from the cache where it has been done before.

    An interrupted fine-tuning goes on from its last checkpoint.

    Args:
        draft: of a pretrained network without trained head.
        key: what else decides the result: data, task, settings of tokenisation and training.
        settings: of the fine-tuning.
        cache: folder of the cache.
        train: fine-tunes a network, keeping checkpoints in a folder, and gives the seconds it took.
        run: the folder of the run that asks; it is written down beside a teacher that it makes.

    Returns:
        The network and the seconds spent now: 0 where it was found.
    """
    assert isinstance(draft.blueprint, Pretrained)
    name = fingerprint.of_value([draft.blueprint.source.fingerprint(), asdict(settings), key])
    folder = cache / "teachers" / name
    unfinished = folder.with_suffix(".unfinished")

    def make() -> tuple[Network, About]:
        log.info("teacher: fine-tuning it, once, into %s", folder)
        torch.manual_seed(settings.seed)
        network = draft.network()
        seconds = train(network, unfinished)
        return network, asdict(settings) | {"seconds": seconds, "run": str(run.absolute())}

    made = made_once(folder, "teacher", make)
    if made and ranks.is_first():
        shutil.rmtree(unfinished, ignore_errors=True)
    return from_folder(folder, draft), made["seconds"] if made else 0.0


def from_folder(folder: Path, draft: Draft) -> Network:
    """The draft's network with the weights of a folder."""
    return replace(draft, blueprint=Pretrained(Folder(str(folder))), teacher=None).network()
