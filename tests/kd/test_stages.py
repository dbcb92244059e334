import json
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file

import train
from kd.fitting import LastState
from kd.stages import compose_stages, plan_stages, seconds_before, updates_before
from potstill.errors import UserError

CONF = str(Path(train.__file__).parent / "conf")


@pytest.fixture
def stages_of(overrides, tmp_path):
    """The configs of a small run's stages."""

    def stages_of(*more):
        with initialize_config_dir(CONF, version_base="1.3"):
            config = compose("train", overrides=[*overrides, *more])
            return compose_stages(config, [*overrides, *more], tmp_path / "run")

    return stages_of


def test_a_stage_is_the_run_with_more_overrides(stages_of, tmp_path):
    stages = stages_of("+stages.one=['kd=none']", "+stages.two=['seed=5']", "kd=relation", "student.learning_rate=0.1")
    assert list(stages) == ["one", "two"]
    assert [stage.student.learning_rate for stage in stages.values()] == [0.1, 0.1]
    assert [list(stage.kd.terms or {}) for stage in stages.values()] == [[], ["distance", "angle", "similarity"]]
    assert [stage.seed for stage in stages.values()] == [1, 5]


def test_all_but_the_last_write_below_the_run(stages_of, tmp_path):
    stages = stages_of("scheme=born_again")
    run = tmp_path / "run"
    assert [stage.run_dir for stage in stages.values()] == [f"{run}/stages/first", f"{run}/stages/second", str(run)]
    assert [stage.baseline for stage in stages.values()] == [False, False, True]
    assert stages["third"].scheme.mentor.model.source.path == f"{run}/stages/second/student"
    assert stages["second"].scheme.mentor.model.source.path == f"{run}/stages/first/student"
    assert stages["third"].teacher.model.source.path == stages["first"].teacher.model.source.path


def test_a_choice_made_anew_starts_from_its_own_defaults(stages_of):
    stages = stages_of("scheme=assistant", "student=bilstm", "student.hidden_size=8")
    assert stages["assistant"].student.num_hidden_layers == 4
    assert stages["assistant"].student.hidden_size is None
    assert stages["student"].student.hidden_size == 8


def test_what_a_stage_chooses_anew_takes_the_place_with_it(stages_of, fine_tuned):
    more = ["scheme=ensemble", "+teacher@scheme.teachers.second=local", f"scheme.teachers.second.path={fine_tuned}"]
    stages = stages_of(*more, "+stages.one=['scheme=offline']", "+stages.two=[]")
    assert set(stages["one"].scheme) == {"_target_", "mentor"}
    assert set(stages["two"].scheme.teachers) == {"second"}


def test_a_folder_may_have_any_name(overrides, tmp_path):
    with initialize_config_dir(CONF, version_base="1.3"):
        config = compose("train", overrides=[*overrides, "scheme=annealing"])
        stages = compose_stages(config, [*overrides, "scheme=annealing"], tmp_path / "seed=1,lr=(2)")
    assert stages["labels"].start_from == f"{tmp_path}/seed=1,lr=(2)/stages/logits/student"
    assert (dict(stages["logits"].stages), list(stages["labels"].stages)) == ({}, ["logits", "labels"])


def test_a_stage_is_a_list(stages_of):
    with pytest.raises(UserError, match=r"stages.one: 'kd=none' is no list of overrides"):
        stages_of("+stages.one=kd\\=none")


def test_the_plan_goes_through_all_stages_and_writes_nothing(stages_of, tmp_path):
    plans = plan_stages(stages_of("scheme=born_again", "student=cnn_lstm", "kd=[kl,feature]"))
    assert list(plans) == ["first", "second", "third"]
    assert "pair      student <- labels: label loss" in plans["first"]
    for name, before in (("second", "first"), ("third", "second")):
        assert "pair      student <- mentor: kl (T = 1); hidden_states" in plans[name]
        student = f"{tmp_path / 'run'}/stages/{before}/student"
        assert f"weights from {student}; used as it is" in plans[name]
    assert not (tmp_path / "run").exists()


def test_a_stage_that_cannot_be_is_named_before_anything_runs(stages_of):
    with pytest.raises(UserError, match=r"stages.two: kd.label_weight=0: without labels"):
        plan_stages(stages_of("+stages.one=['kd=none']", "+stages.two=['kd=none','kd.label_weight=0']"))


def test_a_student_that_goes_on_must_be_the_same(stages_of):
    wider = "['student.hidden_size=9','start_from=${stages_dir}/one/student']"
    with pytest.raises(UserError, match=r"stages.two: start_from: .* has another network than the student"):
        plan_stages(stages_of("student=bilstm", "+stages.one=[]", f"+stages.two={wider}"))


def test_a_student_goes_on_only_from_one_that_is_there(stages_of, tmp_path):
    with pytest.raises(UserError, match=r"start_from: /nowhere: no student is saved there"):
        plan_stages(stages_of("student=bilstm", "+stages.one=['start_from=/nowhere']"))


def test_what_lies_before(tmp_path):
    for name, seconds in (("one", 1.5), ("two", 2.0)):
        folder = tmp_path / "stages" / name
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps({"distill_seconds": seconds, "updates": 7, "task": "tagging"}))
    assert seconds_before(tmp_path, "distill_seconds") == 3.5
    assert updates_before(str(tmp_path / "stages" / "one" / "student"), "tagging") == 7
    assert updates_before(str(tmp_path / "stages" / "one" / "student"), "regression") == 0
    assert updates_before(None, "tagging") == updates_before(str(tmp_path / "student"), "tagging") == 0


@pytest.fixture
def cli(overrides, monkeypatch, capfd):
    """Runs `python train.py` in this process; gives exit code and output."""

    def cli(folder, *more):
        kept = [part for part in overrides if not part.startswith("run_dir=")]
        arguments = more if more[0].startswith("resume=") else [*kept, f"hydra.run.dir={folder}", "logger=[]", *more]
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        code = train.command_line()
        out, err = capfd.readouterr()
        return code, out + err

    return cli


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


def weights_of(folder: Path) -> dict:
    return load_file(folder / "student" / "model.safetensors")


def test_generations(cli, tmp_path):
    run = tmp_path / "generations"
    code, out = cli(run, "scheme=born_again", "student=bert_small", "baseline=false")
    assert code == 0, out
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("stage ")] == [
        *("first", "second", "third"),  # as planned
        *("first", "second", "third"),  # as run
    ]
    folders = [run / "stages" / "first", run / "stages" / "second", run]
    assert report_of(run)["distill_seconds"] > sum(report_of(folder)["distill_seconds"] for folder in folders[:2])
    assert all(report_of(folder)["student"]["score"] > 0.6 for folder in folders)
    table = "bert.embeddings.word_embeddings.weight"
    assert len({weights_of(folder)[table].sum().item() for folder in folders}) == 3


def test_the_second_half_of_annealing_goes_on_from_the_first(cli, tmp_path):
    run = tmp_path / "annealing"
    code, out = cli(run, "scheme=annealing", "student=bilstm")
    assert code == 0, out
    assert f"goes on from {run}/stages/logits/student" in out
    first, last = (
        json.loads((run / place / "done.json").read_text()) for place in ("stages/logits/distill", "distill")
    )
    baseline = json.loads((run / "baseline" / "done.json").read_text())
    assert report_of(run)["updates"] == baseline["updates"] == first["updates"] + last["updates"]
    assert report_of(run)["baseline"] is not None


class StoppedError(Exception):
    pass


def test_a_run_that_was_stopped_in_its_second_stage_goes_on_there(cli, tmp_path, monkeypatch):
    more = ["scheme=self_training", "student=bilstm", "baseline=false", "checkpoint_every_n_steps=4"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert cli(whole, *more)[0] == 0
    save = LastState._save

    def save_and_stop(self, trainer):
        save(self, trainer)
        if self.path.parent == stopped / "distill" and trainer.global_step == 8:
            raise StoppedError

    monkeypatch.setattr(LastState, "_save", save_and_stop)
    with pytest.raises(StoppedError):
        cli(stopped, *more)
    monkeypatch.setattr(LastState, "_save", save)
    first = (stopped / "stages" / "first" / "report.json").stat().st_mtime_ns
    moved = stopped.rename(tmp_path / "moved")
    assert cli(moved, f"resume={moved}")[0] == 0
    assert (moved / "stages" / "first" / "report.json").stat().st_mtime_ns == first
    ours, theirs = weights_of(whole), weights_of(moved)
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())


def test_a_plan_of_stages(cli, tmp_path):
    code, out = cli(tmp_path / "planned", "scheme=assistant", "student=bilstm", "plan=true")
    assert code == 0, out
    assert "stage     assistant" in out
    assert "pair      student <- mentor: response (T = 2)" in out
    assert not (tmp_path / "planned").exists()
