"""A training step never makes the GPU wait for the processor."""

import warnings
from pathlib import Path

import pytest
import torch

from kd.assembly import Assembly
from kd.distiller import Distiller
from kd.plan import make_plan

ROOT = Path(__file__).parent.parent.parent
ROOMS = [str(ROOT / room) for room in ("kd", "models", "data")]

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("student", ["bert_small", "bilstm", "cnn_lstm"])
@pytest.mark.parametrize("more", [["kd=[response,hidden_states,relation]"], ["scheme=mutual"], ["store=off"]])
def test_nothing_of_ours_in_a_step_waits(student, more, configure, tmp_path, monkeypatch):
    step = Distiller.training_step

    def watched(self, batch, batch_idx):
        torch.cuda.set_sync_debug_mode("warn")
        try:
            return step(self, batch, batch_idx)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Distiller, "training_step", watched)
    config = configure(f"student={student}", "trainer.accelerator=gpu", "logger=[]", "trainer.max_epochs=1", *more)
    assembly = Assembly(config, make_plan(config), tmp_path, [])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assembly.distil(assembly.teachers()[0])
    waits = [warning for warning in caught if "synchroniz" in str(warning.message)]
    assert [warning.filename for warning in waits if warning.filename.startswith(tuple(ROOMS))] == []
