"""A fit that was interrupted amid a scheme's own rhythm goes on to the very same weights."""

import copy

import pytest
import torch

from kd.assembly import Assembly
from kd.distiller import Distiller
from kd.fitting import LastState
from kd.plan import make_plan

SCHEMES = {
    "offline": ["kd=[bank_contrast,transported_layers,random_layers,representation_graph]"],  # terms that remember
    "mutual": [],
    "self": [],
    "collaborative": [],
    "joint": [],
    "snapshot": ["scheme.cycles=3"],  # of 9 updates: 12 is amid the second
    "mean_teacher": [],
    "codistillation": ["scheme.interval=5"],  # exchanges after 2, 7, 12: 12 is one
    "progressive": [],
    "native_ensemble": [],
    "ensemble": ["scheme.weights=learned", "+teacher@scheme.teachers.second=local"],
}


class StoppedError(Exception):
    pass


@pytest.fixture
def ended(monkeypatch):
    """The state at the end of training, before the best weights are put back."""
    states, end = [], Distiller.on_train_end

    def on_train_end(self):
        end(self)
        states.append({name: copy.deepcopy(value) for name, value in self.state_dict().items()})

    monkeypatch.setattr(Distiller, "on_train_end", on_train_end)
    return states


@pytest.mark.parametrize("scheme", SCHEMES)
def test_interrupted(scheme, configure, other_fine_tuned, ended, tmp_path, monkeypatch):
    """Stopped inside the second epoch of three; with dropout."""
    more = [*SCHEMES[scheme], "student=bert_small", "trainer.max_epochs=3", "logger=[]", "student.learning_rate=1e-3"]
    if scheme == "ensemble":
        more.append(f"scheme.teachers.second.path={other_fine_tuned}")
    config = configure(f"scheme={scheme}", "checkpoint_every_n_steps=2", "kd.label_weight=0.9", *more)
    stop = make_plan(config).steps_per_epoch * 3 // 2 // 2 * 2

    def distil(folder):
        assembly = Assembly(config, make_plan(config), tmp_path / folder, [])
        assembly.distil(assembly.teachers()[0])
        return assembly.plan.steps_per_epoch

    save = LastState._save

    def save_and_stop(self, trainer):
        save(self, trainer)
        if trainer.global_step == stop:
            raise StoppedError

    epoch = distil("whole")
    assert epoch < stop < 2 * epoch
    monkeypatch.setattr(LastState, "_save", save_and_stop)
    with pytest.raises(StoppedError):
        distil("stopped")
    monkeypatch.setattr(LastState, "_save", save)
    distil("stopped")
    whole, gone_on = ended
    assert_equal(whole, gone_on)


def assert_equal(one, other):
    """Of tensors, and of what a scheme keeps besides."""
    assert set(one) == set(other)
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=0, msg=name)
