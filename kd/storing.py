"""Before training: every frozen teacher is asked once for what its store lacks, and batches bring the answers."""

import logging
import shutil
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from filelock import FileLock
from pytorch_lightning.callbacks import Callback

from data.batches import EncodedExamples
from data.columns import pieces
from kd import ranks
from kd.signals import STORED, LiveTeacher, Reader
from kd.store.estimate import bytes_needed, in_words
from kd.store.filling import fill, lacking_rows, seconds_estimated
from kd.store.store import LOCK, Settings, Store

log = logging.getLogger(__name__)

WORTH_AN_ESTIMATE = 2000  # rows


class Storing(Callback):
    """Fills the stores of frozen teachers, all ranks together, and puts their readers into the training data.

    Args:
        settings: of all stores.
        teachers: the frozen ones, by name.
        max_length: tokens at which a text is cut.
        bar: show progress.

    Attributes:
        seconds: that this took.
    """

    def __init__(self, settings: Settings, teachers: Mapping[str, LiveTeacher], max_length: int, bar: bool):
        self.settings, self.teachers, self.max_length, self.bar = settings, dict(teachers), max_length, bar
        self.seconds = 0.0

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        start = time.monotonic()
        examples: EncodedExamples = trainer.datamodule.train  # type: ignore[attr-defined]
        readers = {name: self._reader(trainer, examples, name, teacher) for name, teacher in self.teachers.items()}
        if found := {name: reader for name, reader in readers.items() if reader}:
            examples.extras[STORED] = Readers(found)
        self.seconds = time.monotonic() - start

    def _reader(self, trainer: pl.Trainer, examples: EncodedExamples, name: str, teacher: LiveTeacher) -> Reader | None:
        spec = teacher.network.spec
        need = sum(
            bytes_needed(teacher.fields, spec, examples.lengths(rows, spec.tokenizer), self.settings.dtype)
            for rows in pieces(len(examples))
        )
        if not self.settings.budget or not self._has_room(name, need):
            return None
        store = store_of(self.settings, teacher, self.max_length)
        with FileLock(store.folder.with_suffix(f".{LOCK}")) if ranks.is_first() else nullcontext():
            self._complete(trainer, store, examples, name, teacher)
        return Reader(store, teacher.fields, spec.tokenizer, spec.classes)

    def _has_room(self, name: str, need: int) -> bool:
        folder = Path(self.settings.folder)
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if need <= min(self.settings.budget * 1e9, free):
            return True
        limit = f"the disk has free ({in_words(free)})" if free < need else f"store.budget={self.settings.budget:g} GB"
        log.warning("store: %s needs %s, more than %s: it runs live in every step", name, in_words(need), limit)
        return False

    def _complete(
        self, trainer: pl.Trainer, store: Store, examples: EncodedExamples, name: str, teacher: LiveTeacher
    ) -> None:
        fields = teacher.fields
        if ranks.is_first():
            for path in store.check(fields):
                log.warning("store: %s is damaged; its rows are computed again", path)
        ranks.wait_for_all()
        store.open(fields)
        missing = sum(len(lacking_rows(store, examples, fields, rows)) for rows in pieces(len(examples)))
        tokenizer, device = teacher.network.spec.tokenizer, trainer.strategy.root_device
        if not missing:
            log.info("store: %s: all rows found in %s", name, store.folder)
            return
        self._announce(store, examples, name, teacher, missing, device, trainer.world_size)
        share = trainer.global_rank, trainer.world_size
        fill(store, teacher, examples, tokenizer, fields, device, share, self.bar and ranks.is_first())
        ranks.wait_for_all()
        if ranks.is_first():
            store.index(fields)
        ranks.wait_for_all()
        store.open(fields)
        teacher.network.cpu()

    def _announce(
        self,
        store: Store,
        examples: EncodedExamples,
        name: str,
        teacher: LiveTeacher,
        missing: int,
        device: Any,
        world_size: int,
    ) -> None:
        if not ranks.is_first():
            return
        what = ", ".join(map(str, sorted(teacher.fields)))
        spec = teacher.network.spec
        some = examples.lengths(np.linspace(0, len(examples) - 1, 1000).astype(np.int64), spec.tokenizer)
        size = bytes_needed(teacher.fields, spec, some, self.settings.dtype) / len(some) * missing
        text = f"store: asking {name} once for {what} of {missing:,} of {len(examples):,} rows: {in_words(size)}"
        if missing >= WORTH_AN_ESTIMATE:
            seconds = seconds_estimated(teacher, examples, spec.tokenizer, self.settings.batch_tokens, device)
            text += f", about {seconds * missing / len(examples) / world_size:.0f} s"
        log.info("%s; into %s", text, store.folder)


class Readers:
    """Reads a batch from the store of each teacher."""

    def __init__(self, readers: Mapping[str, Reader]):
        self.readers = dict(readers)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        return {name: reader(batch) for name, reader in self.readers.items()}


def store_of(settings: Settings, teacher: LiveTeacher, max_length: int) -> Store:
    """The store of a teacher at a tokenization."""
    spec = teacher.network.spec
    weights = teacher.network.fingerprint()
    about = {"teacher": str(spec), "weights": weights, "tokenizer": spec.tokenizer, "max_length": max_length}
    return Store(settings, [weights, spec.tokenizer, max_length], about)
