"""A fit that was interrupted amid a scheme's own rhythm goes on to the very same weights."""

import pytest
import torch

from kd.assembly import Assembly
from kd.fitting import LastState
from kd.plan import make_plan

SCHEMES = {
    "mutual": [],
    "self": [],
    "collaborative": [],
    "joint": ["scheme.feedback=1.0"],
    "snapshot": ["scheme.cycles=3"],  # of 9 updates: 16 is amid the second
    "mean_teacher": [],
    "codistillation": ["scheme.interval=5"],  # exchanges after 2, 7, 12, 17: 16 is between two
    "progressive": [],
    "native_ensemble": [],
    "ensemble": ["scheme.weights=learned", "+teacher@scheme.teachers.second=local"],
}


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("scheme", SCHEMES)
def test_interrupted(scheme, configure, fine_tuned, tmp_path, monkeypatch):
    """Stopped after update 16 of 27, inside the second epoch of three; with dropout."""
    more = [*SCHEMES[scheme], "student=bert_small", "trainer.max_epochs=3", "logger=[]", "student.learning_rate=1e-3"]
    if scheme == "ensemble":
        more.append(f"scheme.teachers.second.path={fine_tuned}")
    config = configure(f"scheme={scheme}", "checkpoint_every_n_steps=4", *more)

    def distil(folder):
        assembly = Assembly(config, make_plan(config), tmp_path / folder, [])
        network, fitted, _ = assembly.distil(assembly.teachers()[0])
        assert fitted.updates == 27
        return network.state_dict()

    whole, save = distil("whole"), LastState._save

    def save_and_stop(self, trainer):
        save(self, trainer)
        if trainer.global_step == 16:
            raise StoppedError

    monkeypatch.setattr(LastState, "_save", save_and_stop)
    with pytest.raises(StoppedError):
        distil("stopped")
    monkeypatch.setattr(LastState, "_save", save)
    gone_on = distil("stopped")
    assert all(torch.equal(weight, gone_on[name]) for name, weight in whole.items())
