"""Mixed precision."""

import pytest
import torch

import models  # noqa: F401 (registers the LSTM students)
from kd.assembly import Assembly
from kd.distiller import Distiller
from kd.plan import make_plan
from models.network import Network


@pytest.mark.parametrize(("store", "precision"), [("off", torch.bfloat16), ("disk", torch.float32)])
@pytest.mark.parametrize("student", ["bert_small", "bilstm", "cnn_lstm", "pqrnn"])
def test_mixed_precision_trains_every_student(student, store, precision, configure, tmp_path, monkeypatch):
    """Models run in bfloat16, losses are computed, weights kept and stores filled in float32."""
    more = [
        "trainer.precision=bf16-mixed",
        "logger=[]",
        "trainer.max_epochs=1",
        "trainer.log_every_n_steps=1",
        f"cache_dir={tmp_path / 'cache'}",
    ]
    config = configure(f"student={student}", "kd=[response,feature,relation]", f"store={store}", *more)
    assembly = Assembly(config, make_plan(config), tmp_path, [])
    teachers, _ = assembly.teachers()
    seen = set()
    monkeypatch.setattr(Distiller, "dry_run", lambda *_: None)  # it runs outside the trainer, in full precision
    monkeypatch.setattr(
        Distiller, "log_dict", lambda self, values: seen.update(("loss", value.dtype) for value in values.values())
    )
    forward = Network.forward

    def watched(self, *args):
        output = forward(self, *args)
        seen.add(("teacher" if self is teachers["teacher"] else "student", output.logits.dtype))
        return output

    monkeypatch.setattr(Network, "forward", watched)
    student_network, _, _ = assembly.distil(teachers)
    assert seen == {("loss", torch.float32), ("student", torch.bfloat16), ("teacher", precision)}
    assert all(weight.isfinite().all() for weight in student_network.parameters())
    assert all(weight.dtype == torch.float32 for weight in student_network.parameters())
