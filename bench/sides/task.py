"""What all sides share: options, the work, the test of the student, and the result. Knows no framework."""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

import models  # noqa: F401 (registers the BiLSTM with transformers)

PACKAGES = ("torch", "transformers", "pytorch-lightning", "textbrewer", "torchdistill", "accelerate")
Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What a side is asked to do.

    Args:
        work: folder that `bench.work` made.
        teacher, student, terms: names in it; terms are `response` or `features`.
        epochs: over the training rows.
        mode: which of its ways the side takes.
        result: the json file to write.
        scratch: folder for whatever the framework writes.
    """

    work: Path
    teacher: str
    student: str
    terms: str
    epochs: int
    mode: str
    result: Path
    scratch: Path

    @classmethod
    def read(cls, modes: Sequence[str]) -> "Options":
        """Those on the command line."""
        parser = argparse.ArgumentParser()
        for name, kind in cls.__annotations__.items():
            choices = {"mode": modes, "terms": ("response", "features")}.get(name)
            parser.add_argument(f"--{name}", type=kind, choices=choices, required=True)
        return cls(**vars(parser.parse_args()))


class Work:
    """Rows and models, the same for all sides.

    Args:
        options: of the side.
    """

    def __init__(self, options: Options):
        self.options = options
        self.settings: dict[str, Any] = json.loads((options.work / "work.json").read_text())
        self.folder = options.work / options.teacher
        about = json.loads((self.folder / "pairs.json").read_text())[options.student]
        wanted = options.terms == "features"
        self.hidden: list[tuple[int, int]] = [tuple(pair) for pair in about["hidden"]] if wanted else []
        self.attention: list[tuple[int, int]] = [tuple(pair) for pair in about["attention"]] if wanted else []
        self.learning_rate: float = about["learning_rate"]
        self.overrides: list[str] = about["overrides"]
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder / "teacher")

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.settings["seed"]

    def rows(self, split: str) -> list[Row]:
        """`input_ids`, `attention_mask` and `labels` of each row, not padded."""
        return json.loads((self.options.work / f"{split}.json").read_text())

    def longest(self) -> list[Row]:
        """One batch of the longest training rows."""
        rows = self.rows("train")
        order = np.argsort([len(row["input_ids"]) for row in rows], kind="stable")
        return [rows[number] for number in order[-self.settings["batch_size"] :]]

    def teacher(self) -> PreTrainedModel:
        """The teacher, frozen."""
        return _load(self.folder / "teacher").eval().requires_grad_(False)

    def student(self) -> PreTrainedModel:
        """The student with its first weights."""
        return _load(self.folder / self.options.student).train()

    def updates(self) -> int:
        """How many updates of the weights the work is."""
        return -(-len(self.rows("train")) // self.settings["batch_size"]) * self.options.epochs

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """AdamW, one pass over the weights; vectors do not decay."""
        matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
        decay = self.settings["weight_decay"]
        groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=self.learning_rate, fused=True)

    def warmup(self) -> int:
        """Over how many updates the learning rate rises."""
        return int(self.settings["warmup"] * self.updates())


def _load(folder: Path) -> PreTrainedModel:
    return AutoModelForSequenceClassification.from_pretrained(folder)


def quiet() -> None:
    """No warnings and bars of transformers."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def collate(rows: Sequence[Row], padding: int) -> dict[str, Tensor]:
    """Rows as tensors `[B, S]`, padded to the longest."""
    ids = [torch.tensor(row["input_ids"]) for row in rows]
    lengths = torch.tensor([len(row) for row in ids])
    padded = pad_sequence(ids, batch_first=True, padding_value=padding)
    mask = (torch.arange(padded.shape[1]) < lengths[:, None]).long()
    return {"input_ids": padded, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


@dataclass
class Clock:
    """Seconds of each epoch, and those in them that went into writing checkpoints."""

    times: list[float] = field(default_factory=list)
    checkpoint_seconds: float = 0.0

    def tick(self) -> None:
        """An epoch begins or ends."""
        self.times.append(time.monotonic())

    @contextmanager
    def checkpoint(self) -> Iterator[None]:
        """What happens inside is the writing of a checkpoint."""
        started = time.monotonic()
        yield
        self.checkpoint_seconds += time.monotonic() - started

    def seconds(self) -> list[float]:
        """Of each epoch."""
        return [end - start for start, end in zip(self.times, self.times[1:], strict=False)]


class Updates:
    """Counts the steps of an optimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer):
        self.count = 0
        optimizer.register_step_post_hook(self._add)

    def _add(self, *_: Any) -> None:
        self.count += 1


@torch.no_grad()
def evaluate(model: nn.Module, work: Work) -> dict[str, float]:
    """Cross-entropy and accuracy on the test rows, and the distance from the teacher's soft targets."""
    rows, temperature = work.rows("test"), work.settings["temperature"]
    goal = torch.tensor(json.loads((work.folder / "test_logits.json").read_text()))
    was_training = model.training
    model.eval()
    starts = range(0, len(rows), 128)
    batches = [collate(rows[start : start + 128], work.tokenizer.pad_token_id) for start in starts]
    logits = torch.cat([model(batch["input_ids"], batch["attention_mask"]).logits for batch in batches])
    model.train(was_training)
    labels = torch.tensor([row["labels"] for row in rows])
    ours, theirs = (F.log_softmax(values / temperature, dim=-1) for values in (logits, goal))
    return {
        "cross_entropy": F.cross_entropy(logits, labels).item(),
        "soft_targets": temperature**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True).item(),
        "accuracy": (logits.argmax(-1) == labels).float().mean().item(),
    }


@dataclass
class Result:
    """What a side took.

    Args:
        epoch_seconds: of each epoch of training, the teacher's part and checkpoints in it.
        updates: of the weights.
        first_loss, last_loss: of the side's own loss on the longest training rows, without dropout,
            before and after training.
        start, end: the student's test before and after training.
        store_seconds: of asking the teacher beforehand.
        checkpoint_seconds: of writing checkpoints, in `epoch_seconds` too.
    """

    epoch_seconds: list[float]
    updates: int
    first_loss: float
    last_loss: float
    start: dict[str, float]
    end: dict[str, float]
    store_seconds: float = 0.0
    checkpoint_seconds: float = 0.0

    def write(self, options: Options) -> None:
        """Write it, with all that it depends on but the machine."""
        about = {"threads": torch.get_num_threads(), "versions": versions()}
        options.result.write_text(json.dumps(asdict(self) | about))


def versions() -> dict[str, str]:
    """Of the packages that are there."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
