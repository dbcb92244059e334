import pytest
import pytorch_lightning as pl
import torch

from kd.fitting import LastState, resolve_precision


def test_auto_is_full_precision_on_a_cpu():
    assert resolve_precision("auto", "cpu") == "32-true"


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_auto_on_a_gpu_depends_on_its_age(monkeypatch, has_bf16, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has_bf16)
    assert resolve_precision("auto", "auto") == expected
    assert resolve_precision("auto", "cpu") == "32-true"


def test_an_explicit_precision_wins():
    assert resolve_precision("64-true", "auto") == "64-true"


@pytest.mark.parametrize(("short", "long"), [(16, "16-mixed"), ("bf16", "bf16-mixed"), (32, "32-true")])
def test_short_names_are_written_out(short, long):
    assert resolve_precision(short, "cpu") == long


class Steps(pl.LightningModule):
    """Something to fit."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, number):
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("every", "accumulate", "expected"),
    [
        (2, 1, [(0, 2), (0, 4), (1, 1), (1, 3), (1, 5)]),  # updates 2, 4, 6, 8, 10 of two epochs of 5 batches
        (1, 2, [(0, 2), (0, 4), (0, 5), (1, 2), (1, 4), (1, 5)]),  # never amid an accumulation
        (5, 1, [(0, 5), (1, 5)]),
    ],
)
def test_the_state_is_kept_every_so_many_updates(tmp_path, monkeypatch, every, accumulate, expected):
    kept = []

    def keep(self, trainer):
        self._kept = trainer.global_step
        kept.append((trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_progress.current.ready))

    monkeypatch.setattr(LastState, "_save", keep)
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=2,
        accumulate_grad_batches=accumulate,
        callbacks=[LastState(tmp_path / "last.ckpt", every)],
    )
    trainer.fit(Steps(), torch.utils.data.DataLoader(range(5)))
    assert kept == expected
