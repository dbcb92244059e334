import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from datasets import Dataset
from transformers import BertTokenizer

from data import columns, module
from data.module import Batches
from models.words import word_tokenizer
from potstill import fingerprint

pytestmark = pytest.mark.filterwarnings("ignore:You're resuming")

COUNT = 40
TEXTS = [" ".join(["so good a film"] * (1 + number % 5)) + f" {number}" for number in range(COUNT)]


def rows(count=COUNT, **more):
    return Dataset.from_dict(
        {"id": list(range(count)), "label": [n % 2 for n in range(count)], "text": TEXTS[:count], **more}
    )


@pytest.fixture
def words():
    return word_tokenizer(TEXTS, 50)


@pytest.fixture
def letters():
    return word_tokenizer(TEXTS, 0)


def batches(tokenizers, train=None, **settings):
    options = {"max_length": 64, "batch_size": 4, "eval_batch_size": 16, "seed": 3} | settings
    return Batches(rows() if train is None else train, rows(10), tokenizers, **options)


class Recorder(pl.LightningModule):
    """Notes the rows of every training batch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def training_step(self, batch, number):
        self.seen.append((self.current_epoch, batch["id"].tolist()))
        return self.weight.sum()

    def validation_step(self, batch, number):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, module, data, checkpoint=None, **settings):
    trainer = pl.Trainer(
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=False)
    return trainer


def test_a_batch_has_every_tokenizers_encoding_under_its_fingerprint(words, letters):
    batch = next(iter(batches([words, letters]).train_dataloader()))
    assert set(batch) == {"id", "labels", "encodings"}
    texts = [TEXTS[number] for number in batch["id"]]
    for tokenizer in (words, letters):
        expected = tokenizer(texts, padding=True, return_tensors="pt")
        encoding = batch["encodings"][fingerprint.of_tokenizer(tokenizer)]
        assert set(encoding) == set(expected)
        assert all(torch.equal(encoding[name], expected[name]) for name in expected)


def test_equal_tokenizers_are_applied_once(words):
    data = batches([words, word_tokenizer(TEXTS, 50)])
    assert list(data.train.tokens) == [fingerprint.of_tokenizer(words)]


def test_pairs_come_with_their_token_types(words):
    typed = BertTokenizer(vocab=words.get_vocab())
    pairs = rows(text_pair=["a film"] * COUNT)
    batch = next(iter(batches([typed], pairs).train_dataloader()))
    (encoding,) = batch["encodings"].values()
    assert (encoding["token_type_ids"].sum(1) == 3).all()
    assert encoding["token_type_ids"].shape == encoding["input_ids"].shape


def test_labels_belong_to_their_rows(words):
    for batch in batches([words]).train_dataloader():
        assert torch.equal(batch["labels"], batch["id"] % 2)


def test_an_epoch_has_every_training_row_once(words):
    loader = batches([words]).train_dataloader()
    assert sorted(number for batch in loader for number in batch["id"].tolist()) == list(range(COUNT))
    assert len(loader) == 10


def test_validation_rows_come_in_their_order(words):
    loader = batches([words], eval_batch_size=4).val_dataloader()
    assert [batch["id"].tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_rows_are_grouped_by_the_longest_of_their_encodings(words, letters):
    lengths = batches([words, letters]).train_dataloader().batch_sampler.lengths
    both = zip(words(TEXTS)["input_ids"], letters(TEXTS)["input_ids"], strict=True)
    assert lengths(np.arange(COUNT)).tolist() == [max(map(len, pair)) for pair in both]


def test_the_longest_batch_holds_the_longest_rows_whichever_tokenizer_makes_them(words, letters, monkeypatch):
    monkeypatch.setattr(module, "pieces", lambda size: columns.pieces(size, 7))  # more rows than are looked at at once
    data = batches([words, letters])
    both = zip(words(TEXTS)["input_ids"], letters(TEXTS)["input_ids"], strict=True)
    lengths = [max(map(len, pair)) for pair in both]
    longest = data.longest()["id"].tolist()
    assert sorted(lengths[row] for row in longest) == sorted(lengths)[-4:]
    assert len(set(longest)) == 4


def test_a_tokenizers_lengths_are_its_own(words, letters):
    data = batches([words, letters])
    for tokenizer in (words, letters):
        lengths = data.train.lengths(np.arange(COUNT), fingerprint.of_tokenizer(tokenizer))
        assert lengths.tolist() == list(map(len, tokenizer(TEXTS)["input_ids"]))


def test_a_worker_process_gives_the_same_batches(words):
    here, there = (list(batches([words], workers=workers).train_dataloader()) for workers in (0, 1))
    assert [batch["id"].tolist() for batch in here] == [batch["id"].tolist() for batch in there]
    (one,), (other,) = here[0]["encodings"].values(), there[0]["encodings"].values()
    assert torch.equal(one["input_ids"], other["input_ids"])


class Interrupted(pl.Callback):
    """Keeps the state after so many steps and, some steps later, breaks off as a killed process would."""

    def __init__(self, path, steps):
        self.path, self.steps = path, steps

    def on_train_batch_end(self, trainer, module, *_):
        if trainer.global_step == self.steps:
            trainer.save_checkpoint(self.path)
            del module.seen[self.steps :]
        if trainer.global_step == self.steps + 2:
            raise ConnectionAbortedError


class InterruptedBetweenEpochs(pl.Callback):
    """The same after the first epoch."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, module):
        trainer.save_checkpoint(self.path)
        raise ConnectionAbortedError


def parted(folder, words, interruption, **settings):
    """What a run sees that was interrupted and resumed."""
    first, second = Recorder(), Recorder()
    with pytest.raises(ConnectionAbortedError):
        fit(folder, first, batches([words], **settings), max_epochs=3, callbacks=[interruption])
    fit(folder, second, batches([words], **settings), interruption.path, max_epochs=3)
    return first.seen[: getattr(interruption, "steps", None)] + second.seen


@pytest.fixture
def whole(tmp_path, words):
    """What a run sees that is not interrupted: ten batches in each of three epochs."""
    module = Recorder()
    fit(tmp_path, module, batches([words]), max_epochs=3)
    assert len(module.seen) == 30
    return module.seen


@pytest.mark.parametrize("steps", [1, 7, 9, 13])
def test_a_resumed_run_goes_on_with_the_very_next_batch(tmp_path, words, whole, steps):
    assert parted(tmp_path, words, Interrupted(tmp_path / "state.ckpt", steps)) == whole


def test_a_resumed_run_with_a_worker_goes_on_with_the_very_next_batch(tmp_path, words, whole):
    """Though a worker is ahead of what has been trained on."""
    assert parted(tmp_path, words, Interrupted(tmp_path / "state.ckpt", 13), workers=1) == whole


def test_a_run_interrupted_between_epochs_goes_on_with_the_next(tmp_path, words, whole):
    assert parted(tmp_path, words, InterruptedBetweenEpochs(tmp_path / "state.ckpt")) == whole


def test_a_run_of_shortened_epochs_goes_on_with_the_next(tmp_path, words):
    whole, first, second = Recorder(), Recorder(), Recorder()
    path = tmp_path / "state.ckpt"
    fit(tmp_path, whole, batches([words]), max_epochs=2, limit_train_batches=4)
    with pytest.raises(ConnectionAbortedError):
        fit(
            tmp_path,
            first,
            batches([words]),
            max_epochs=2,
            limit_train_batches=4,
            callbacks=[InterruptedBetweenEpochs(path)],
        )
    fit(tmp_path, second, batches([words]), path, max_epochs=2, limit_train_batches=4)
    assert first.seen + second.seen == whole.seen
