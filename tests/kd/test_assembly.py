import json
from pathlib import Path

import pytest

from kd.assembly import Assembly
from kd.plan import make_plan


class Untrained(Assembly):
    """Stops before each fit and keeps what would have been trained."""

    def _fit(self, distiller, batches, folder, **length):
        self.first = {name: weight.clone() for name, weight in distiller.networks["student"].state_dict().items()}
        self.rows = len(batches.train)
        return None


@pytest.mark.parametrize("student", ["bert_small", "bilstm", "cnn_lstm"])
def test_the_baseline_starts_from_the_students_first_weights(student, configure, tmp_path):
    config = configure(f"student={student}", "logger=[]")
    assembly = Untrained(config, make_plan(config), tmp_path, [])
    teacher, _ = assembly.teacher()
    assembly.distil(teacher)
    distilled, rows = assembly.first, assembly.rows
    assembly.baseline(teacher, updates=10)
    assert all(weight.equal(assembly.first[name]) for name, weight in distilled.items())
    assert (rows, assembly.rows) == (96 + 48, 96)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_baseline_gets_as_many_updates_and_validations(accumulate, configure, tmp_path):
    config = configure("student=bilstm", f"trainer.accumulate_grad_batches={accumulate}", "trainer.max_epochs=3")
    assembly = Assembly(config, make_plan(config), tmp_path, [])
    teacher, _ = assembly.teacher()
    _, fitted = assembly.distil(teacher)
    assembly.baseline(teacher, fitted.updates)
    done = [
        json.loads((Path(tmp_path) / phase / "done.json").read_text())["updates"] for phase in ("distill", "baseline")
    ]
    assert done[0] == done[1] == fitted.updates == 3 * assembly.plan.steps_per_epoch
