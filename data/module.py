"""The batches of one fit."""

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from datasets import Dataset
from torch.utils.data import BatchSampler, DataLoader, SequentialSampler
from transformers import PreTrainedTokenizerFast

from data.batches import Batch, EncodedExamples, LengthGroupedBatches
from data.classification import Classification
from data.columns import pieces
from data.task import Task
from data.tokenization import tokenize
from data.words import word_numbers
from potstill import fingerprint

CLASSIFICATION = Classification()


class Batches(pl.LightningDataModule):
    """Training and validation batches: `id` and `labels` `[B]`, `encodings` by tokenizer fingerprint.

    A batch is padded to its longest member. How far training has come through an epoch is kept in
    Lightning's checkpoint, so that a resumed run goes on with the very next batch.

    Args:
        train: training rows, labelled or not.
        validation: validation rows.
        tokenizers: one or several; equal ones are applied once.
        max_length: tokens at which a text is cut.
        batch_size: rows of a training batch.
        eval_batch_size: rows of any other batch.
        workers: processes that prepare batches; 0 prepares them in this one.
        seed: of the order of the training rows.
        words: tell to which word each token of a training row belongs.
        task: what is done with the rows; where logits are those of words, it says what a word is.
    """

    def __init__(
        self,
        train: Dataset,
        validation: Dataset,
        tokenizers: list[PreTrainedTokenizerFast],
        max_length: int,
        batch_size: int,
        eval_batch_size: int,
        workers: int = 0,
        seed: int = 0,
        words: bool = False,
        task: Task = CLASSIFICATION,
    ):
        super().__init__()
        self.tokenizers = {fingerprint.of_tokenizer(tokenizer): tokenizer for tokenizer in tokenizers}
        self.max_length, self.batch_size, self.eval_batch_size = max_length, batch_size, eval_batch_size
        self.workers, self.seed, self.task = workers, seed, task
        self.train = self.encode(train, words)
        self.validation = self.encode(validation)
        self._progress = {"epoch": 0, "batch": 0}

    def encode(self, rows: Dataset, words: bool = False) -> EncodedExamples:
        """The rows as every tokenizer cuts them, with the words of the tokens where asked or always needed."""
        numbering = self.task.words or (word_numbers if words else None)
        tables = {
            key: self.task.encoded(tokenize(rows, each, self.max_length, numbering), each)
            for key, each in self.tokenizers.items()
        }
        padding = {key: int(tokenizer.pad_token_id or 0) for key, tokenizer in self.tokenizers.items()}
        return EncodedExamples(tables, padding, self.task.choices)

    def train_dataloader(self) -> DataLoader:
        """Shuffled batches, grouped by length; every rank its share."""
        trainer = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer else (0, 1)
        self.order = LengthGroupedBatches(
            self.train.lengths, len(self.train), self.batch_size, self.seed, rank, world_size
        )
        self.order.epoch, self.order.skip = self._progress["epoch"], self._progress["batch"]
        return self._loader(self.train, self.order)

    def val_dataloader(self) -> DataLoader:
        """Validation batches in the order of the rows."""
        return self.evaluation(self.validation)

    def evaluation(self, examples: EncodedExamples) -> DataLoader:
        """Batches in the order of the rows."""
        return self._loader(
            examples, BatchSampler(SequentialSampler(range(len(examples))), self.eval_batch_size, False)
        )

    def longest(self) -> Batch:
        """The training batch that needs the most room: that of the longest rows."""
        longest = np.empty(0, np.int64)
        for rows in pieces(len(self.train)):
            rows = np.concatenate([longest, rows])
            longest = rows[np.argsort(self.train.lengths(rows), kind="stable")[-self.batch_size :]]
        return self.train.__getitems__(longest.tolist())

    def state_dict(self) -> dict[str, Any]:
        """How many epochs are done, and how many batches of the one under way."""
        assert self.trainer is not None
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current
        done = progress.processed
        epoch = self.trainer.current_epoch
        inside = done < self.trainer.num_training_batches
        return {"epoch": epoch, "batch": done} if inside else {"epoch": epoch + 1, "batch": 0}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint was written."""
        self._progress = state

    def _loader(self, examples: EncodedExamples, batches: Any) -> DataLoader:
        return DataLoader(
            examples,
            batch_sampler=batches,
            collate_fn=_as_it_is,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.workers > 0,
        )


def _as_it_is(batch: Any) -> Batch:
    return batch
