import json
import time
from pathlib import Path

import pytest
import torch

from kd import storing
from kd.assembly import Assembly
from kd.fitting import Fitted
from kd.plan import make_plan


class Untrained(Assembly):
    """Stops before each fit and keeps what would have been trained."""

    def _fit(self, distiller, batches, folder, callbacks=(), **length):
        self.first = {name: weight.clone() for name, weight in distiller.networks["student"].state_dict().items()}
        self.rows, self.callbacks = len(batches.train), callbacks
        self.prefixes = [*getattr(self, "prefixes", []), distiller.prefix]
        return Fitted(0.0, 0)


@pytest.mark.parametrize("student", ["bert_small", "bilstm", "cnn_lstm"])
def test_the_baseline_starts_from_the_students_first_weights(student, configure, tmp_path):
    config = configure(f"student={student}", "logger=[]", f"cache_dir={tmp_path / 'cache'}")
    assembly = Untrained(config, make_plan(config), tmp_path, [])
    teachers, _ = assembly.teachers()
    assembly.distil(teachers)
    distilled, rows = assembly.first, assembly.rows
    assert [list(callback.teachers) for callback in assembly.callbacks] == [["teacher"]]
    assembly.baseline(teachers["teacher"], updates=10)
    assert all(weight.equal(assembly.first[name]) for name, weight in distilled.items())
    assert (rows, assembly.rows) == (96 + 48, 96)
    assert assembly.callbacks == ()


def test_each_teacher_is_logged_under_a_name_of_its_own(configure, pretrained, tmp_path):
    second = ["+teacher@scheme.teachers.second=local", f"scheme.teachers.second.path={pretrained}"]
    own = [f"teacher.path={pretrained}", f"cache_dir={tmp_path / 'cache'}", "scheme.teachers.second.fine_tuning.seed=5"]
    config = configure("student=bilstm", "scheme=ensemble", *second, *own, "logger=[]")
    assembly = Untrained(config, make_plan(config), tmp_path, [])
    assembly.teachers()
    assert assembly.prefixes == ["teacher/", "teacher/second/"]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_baseline_gets_as_many_updates_and_validations(accumulate, configure, tmp_path):
    more = ["trainer.max_epochs=3", f"trainer.accumulate_grad_batches={accumulate}", f"cache_dir={tmp_path / 'cache'}"]
    config = configure("student=bilstm", *more)
    assembly = Assembly(config, make_plan(config), tmp_path, [])
    teachers, _ = assembly.teachers()
    _, fitted, _ = assembly.distil(teachers)
    assembly.baseline(teachers["teacher"], fitted.updates)
    done = [
        json.loads((Path(tmp_path) / phase / "done.json").read_text())["updates"] for phase in ("distill", "baseline")
    ]
    assert done[0] == done[1] == fitted.updates == 3 * assembly.plan.steps_per_epoch


def test_runs_share_a_baseline_unless_it_would_be_another(configure, tmp_path):
    """Knowledge, scheme and transfer set do not reach it; seed, updates, learning rate and student do."""

    def baseline(*more, updates=8):
        run = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        config = configure("student=bilstm", "logger=[]", f"cache_dir={tmp_path / 'cache'}", *more)
        assembly = Assembly(config, make_plan(config), run, [])
        network = assembly.baseline(assembly.teachers()[0]["teacher"], updates)
        return network.state_dict(), (run / "baseline").exists()

    first, trained = baseline()
    assert trained
    for more in (["kd=relation"], ["scheme=mutual"], ["trainer.log_every_n_steps=1"], ["data.unlabelled=null"]):
        found, trained = baseline(*more)
        assert not trained, more
        assert all(weight.equal(found[name]) for name, weight in first.items())
    for more in (["seed=2"], ["optimizer.lr=0.01"], ["student.hidden_size=16"], ["data.batch_size=8"]):
        assert baseline(*more)[1], more
    assert baseline(updates=9)[1]


@pytest.mark.parametrize("more", [["kd=none"], ["scheme=mutual"], ["scheme=self"]])
def test_where_nobody_asks_the_teacher_nothing_is_stored(more, configure, tmp_path):
    config = configure("student=bert_small", "logger=[]", *more)
    assembly = Untrained(config, make_plan(config), tmp_path, [])
    teachers, _ = assembly.teachers()
    _, _, seconds = assembly.distil(teachers)
    assert [callback.teachers for callback in assembly.callbacks] == [{}]
    assert seconds == 0


def test_the_seconds_of_asking_the_teacher_are_counted_and_it_is_asked_once(configure, tmp_path, monkeypatch):
    asked, fill = [], storing.fill

    def slow(*args):
        asked.append(args)
        time.sleep(0.5)
        fill(*args)

    monkeypatch.setattr(storing, "fill", slow)
    seconds = []
    for run in ("first", "second"):
        config = configure("student=bilstm", "trainer.max_epochs=1", f"cache_dir={tmp_path / 'cache'}", "logger=[]")
        assembly = Assembly(config, make_plan(config), tmp_path / run, [])
        teachers, _ = assembly.teachers()
        seconds.append(assembly.distil(teachers)[2])
    assert len(asked) == 1
    assert seconds[0] >= 0.5
    assert seconds[1] >= 0


@pytest.mark.slow
def test_compiled_networks_learn_the_same_and_are_saved_plain(configure, tmp_path):
    weights, settings = {}, ["student=bert_small", "kd=feature", "logger=[]", "trainer.max_epochs=1"]
    for compiled in ("false", "true"):
        config = configure(f"compile={compiled}", *settings)
        assembly = Assembly(config, make_plan(config), tmp_path / compiled, [])
        weights[compiled] = assembly.distil(assembly.teachers()[0])[0].state_dict()
    assert weights["false"].keys() == weights["true"].keys()
    for name, weight in weights["false"].items():
        torch.testing.assert_close(weights["true"][name], weight, atol=1e-3, rtol=1e-2)


def test_frozen_parts_keep_their_weights_and_the_baseline_trains_all(configure, tmp_path):
    def weights(network):
        return {name: weight.clone() for name, weight in network.model.state_dict().items()}

    config = configure("student=bilstm", "optimizer.frozen=[encoder.embeddings,classifier.1]", "logger=[]")
    assembly = Assembly(config, make_plan(config), tmp_path, [])
    teachers, _ = assembly.teachers()
    first = weights(assembly._network("student", teachers["teacher"]))
    student, fitted, _ = assembly.distil(teachers)
    changed = {name for name, weight in weights(student).items() if not weight.equal(first[name])}
    assert changed == {name for name in first if not name.startswith(("encoder.embeddings", "classifier.1"))}
    baseline = weights(assembly.baseline(teachers["teacher"], fitted.updates))
    assert all(not weight.equal(first[name]) for name, weight in baseline.items())
    free = configure("student=bilstm", "logger=[]")
    other = Assembly(free, make_plan(free), tmp_path, [])
    network = other._network("student", teachers["teacher"])
    assert other._baseline_key(network, 9, 3) == assembly._baseline_key(network, 9, 3)
