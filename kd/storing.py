"""Before training: every frozen teacher is asked once for what its store lacks, and batches bring the answers."""

import logging
import shutil
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from data.batches import EncodedExamples
from data.columns import pieces
from data.task import Task
from kd import ranks
from kd.signals import STORED, LiveTeacher, Reader
from kd.store.estimate import bytes_needed, in_words
from kd.store.filling import fill, lacking_rows, seconds_estimated
from kd.store.store import LOCK, Settings, Store
from potstill.errors import UserError, disk_is_full

log = logging.getLogger(__name__)

WORTH_AN_ESTIMATE = 2000  # rows


class Storing(Callback):
    """Fills the stores of frozen teachers, all ranks together, and puts their readers into the training data.

    Args:
        settings: of all stores.
        teachers: the frozen ones, by name.
        task: what is done with the texts.
        max_length: tokens at which a text is cut.
        bar: show progress.

    Attributes:
        seconds: that this took.
    """

    def __init__(
        self,
        settings: Settings,
        teachers: Mapping[str, LiveTeacher],
        task: Task,
        max_length: int,
        bar: bool,
    ):
        self.settings, self.teachers, self.task = settings, dict(teachers), task
        self.max_length, self.bar = max_length, bar
        self.seconds = 0.0

    def setup(self, trainer: pl.Trainer, module: pl.LightningModule, stage: str) -> None:
        start = time.monotonic()
        examples: EncodedExamples = trainer.datamodule.train  # type: ignore[attr-defined]
        readers = {name: self._reader(trainer, examples, name, teacher) for name, teacher in self.teachers.items()}
        if found := {name: reader for name, reader in readers.items() if reader}:
            examples.extras[STORED] = Readers(found)
        self.seconds = time.monotonic() - start

    def _reader(self, trainer: pl.Trainer, examples: EncodedExamples, name: str, teacher: LiveTeacher) -> Reader | None:
        if not self.settings.budget:
            return None
        store = store_of(self.settings, teacher, self.max_length)
        work = Filling(store, examples, name, teacher, trainer, self.task)
        try:
            stored = work.within_budget() and self._fill(work)
        except OSError as error:
            if disk_is_full(error):
                raise
            raise UserError(f"store.folder: {self.settings.folder}: {error}") from error
        return Reader(work.store, teacher.fields, teacher.network.spec) if stored else None

    def _fill(self, work: "Filling") -> bool:
        folder = work.store.folder
        with ranks.locked(folder.with_suffix(f".{LOCK}"), f"store: another run is filling {folder}"):
            return work.complete(self.bar)


class Filling:
    """One teacher's store at the beginning of a fit; every rank does its part.

    Args:
        store: of the teacher.
        examples: the training rows.
        name: of the teacher.
        teacher: who is asked.
        trainer: of the fit.
        task: what is done with the rows.
    """

    def __init__(
        self,
        store: Store,
        examples: EncodedExamples,
        name: str,
        teacher: LiveTeacher,
        trainer: pl.Trainer,
        task: Task,
    ):
        self.store, self.examples, self.name, self.teacher, self.trainer = store, examples, name, teacher, trainer
        self.task = task
        self.fields, self.spec = teacher.fields, teacher.network.spec

    def within_budget(self) -> bool:
        """Whether what the run needs may be stored at all."""
        need, budget = sum(map(self._bytes, pieces(len(self.examples)))), self.store.settings.budget
        return need <= budget * 1e9 or self._live(need, f"store.budget={budget:g} GB")

    def complete(self, bar: bool) -> bool:
        """Ask for what is missing; whether the store then has all rows."""
        if ranks.is_first():
            for path in self.store.check(self.fields):
                log.warning("store: %s is damaged; its rows are computed again", path)
        ranks.wait_for_all()
        self.store.open(self.fields)
        missing, need = self._missing()
        if not missing:
            log.info("store: %s: all rows found in %s", self.name, self.store.folder)
            return True
        free = self.trainer.strategy.broadcast(shutil.disk_usage(self.store.settings.folder).free)
        if need > free:
            return self._live(need, f"the disk has free ({in_words(free)})")
        if ranks.is_first():
            self._announce(missing, need)
        self._ask(bar)
        return True

    def _ask(self, bar: bool) -> None:
        share = self.trainer.global_rank, self.trainer.world_size
        device = self.trainer.strategy.root_device
        bar = bar and ranks.is_first()
        fill(self.store, self.teacher, self.examples, self.spec.tokenizer, self.fields, device, share, bar)
        ranks.wait_for_all()
        if ranks.is_first():
            self.store.index(self.fields)
        ranks.wait_for_all()
        self.store.open(self.fields)
        self.teacher.network.cpu()

    def _missing(self) -> tuple[int, int]:
        """How many rows, and about how many bytes they need."""
        lacking = (lacking_rows(self.store, self.examples, self.fields, rows) for rows in pieces(len(self.examples)))
        counts = [(len(rows), self._bytes(rows)) for rows in lacking]
        return sum(rows for rows, _ in counts), sum(size for _, size in counts)

    def _bytes(self, rows: np.ndarray) -> int:
        lengths = self.examples.lengths(rows, self.spec.tokenizer)
        return bytes_needed(self.fields, self.spec, lengths, self.store.settings, self.task.words_per_token)

    def _live(self, need: int, limit: str) -> bool:
        if ranks.is_first():
            what = f"{self.name} needs {in_words(need)}"
            log.warning("store: %s, more than %s: it runs live in every step", what, limit)
        return False

    def _announce(self, missing: int, need: int) -> None:
        what, rows = ", ".join(map(str, sorted(self.fields))), len(self.examples)
        text = f"store: asking {self.name} once for {what} of {missing:,} of {rows:,} rows: {in_words(need)}"
        if missing >= WORTH_AN_ESTIMATE:
            device = self.trainer.strategy.root_device
            tokens = self.store.settings.tokens_at_once(device)
            seconds = seconds_estimated(self.teacher, self.examples, self.spec.tokenizer, tokens, device)
            text += f", about {seconds * missing / rows / self.trainer.world_size:.0f} s"
        log.info("%s; into %s", text, self.store.folder)


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
