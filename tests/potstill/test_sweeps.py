import os

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from potstill import sweeps
from potstill.errors import UserError


def a_sweep(folder, *overrides, age=0):
    folder.mkdir(parents=True)
    OmegaConf.save({"hydra": {"overrides": {"task": list(overrides)}}}, folder / "multirun.yaml")
    os.utime(folder / "multirun.yaml", (1e9 - age, 1e9 - age))


class TestGoneOn:
    def test_any_other_command_line_stays(self, tmp_path):
        for line in (["-m", "seed=1,2"], ["seed=1"], []):
            assert sweeps.gone_on(line, tmp_path) == line

    def test_the_last_sweep_of_the_same_overrides_is_taken(self, tmp_path):
        asked = ["seed=1,2", "~data/augmentation", "run_dir=a/${seed}"]
        a_sweep(tmp_path / "first", *asked, age=30)
        a_sweep(tmp_path / "second", *asked, age=20)
        a_sweep(tmp_path / "third", *reversed(asked), age=10)
        a_sweep(tmp_path / "fourth", *asked, "kd=none", "data.seed=${hydra:job.num}")
        line = ["-m", "launcher=joblib", *asked, "hydra.launcher.n_jobs=2"]
        found = sweeps.gone_on([*line, "sweep.resume=True"], tmp_path)
        assert found == [*line, f"hydra.sweep.dir='{tmp_path / 'second'}'"]

    def test_its_folder_may_be_called_anything(self, tmp_path):
        a_sweep(tmp_path / "a,b", "seed=1,2")
        *_, found = sweeps.gone_on(["seed=1,2", "sweep.resume=true"], tmp_path)
        assert OverridesParser.create().parse_override(found).value() == str(tmp_path / "a,b")

    @pytest.mark.parametrize("damage", ["", "a: [", "hydra: {overrides: null}", "- a"])
    def test_files_that_are_damaged_are_passed_over(self, damage, tmp_path):
        a_sweep(tmp_path / "whole", "seed=1,2")
        a_sweep(tmp_path / "damaged", "seed=1,2")
        (tmp_path / "damaged" / "multirun.yaml").write_text(damage)
        assert sweeps.gone_on(["seed=1,2", "sweep.resume=true"], tmp_path)[1].endswith("/whole'")

    def test_anything_but_true_or_false_is_refused(self, tmp_path):
        assert sweeps.gone_on(["seed=1,2", "sweep.resume=false"], tmp_path) == ["seed=1,2"]
        with pytest.raises(
            UserError, match=r"sweep\.resume=x: not true or false; for a folder say hydra\.sweep\.dir=x"
        ):
            sweeps.gone_on(["seed=1,2", "sweep.resume=x"], tmp_path)

    def test_a_folder_that_is_named_is_taken(self, tmp_path):
        line = ["-m", "seed=1,2", "hydra.sweep.dir=x"]
        assert sweeps.gone_on([*line, "sweep.resume=true"], tmp_path) == line

    def test_there_must_be_one(self, tmp_path):
        a_sweep(tmp_path / "first", "seed=1,2")
        with pytest.raises(UserError, match=r"sweep\.resume=true: no sweep of these overrides in"):
            sweeps.gone_on(["-m", "seed=1", "sweep.resume=true"], tmp_path)


def test_a_recipe_of_all_is_named_as_alone():
    assert sweeps.plain(["+experiment@_global_=pkd", "experiment=recipes", "seed=2"]) == ["experiment=pkd", "seed=2"]
    assert sweeps.plain(["experiment=recipes", "seed=2"]) == ["experiment=recipes", "seed=2"]
    assert sweeps.plain(["launcher=joblib", "seed=2"]) == ["seed=2"]


@pytest.mark.parametrize("text", ["plain", "it's", "a\\b", "a\\'b", "a\\", "(1), a=b"])
def test_any_text_can_be_quoted(text):
    assert OverridesParser.create().parse_override(f"a={sweeps.quoted(text)}").value() == text


class TestSummary:
    def config(self, folder):
        return OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}})

    def test_failed_jobs_are_named(self, tmp_path, capsys):
        summary = sweeps.Summary()
        sweeps.note_failure("of another time", sweeps.failures(str(tmp_path)) / "3.txt")
        summary.on_multirun_start(self.config(tmp_path))
        sweeps.note_failure("x/1: no such file", sweeps.failures(str(tmp_path)) / "1.txt")
        summary.on_multirun_end(self.config(tmp_path))
        assert capsys.readouterr().out.splitlines() == [f"sweep: {tmp_path}: 1 failed", "x/1: no such file"]
        assert sweeps.failed == ["x/1: no such file"]
        summary.on_multirun_start(self.config(tmp_path))
        summary.on_multirun_end(self.config(tmp_path))
        assert sweeps.failed == []

    def test_what_others_keep_there_stays(self, tmp_path):
        place = sweeps.failures(str(tmp_path))
        sweeps.note_failure("mine", place / "notes.txt")
        sweeps.note_failure("of another time", place / "3.txt")
        sweeps.Summary().on_multirun_start(self.config(tmp_path))
        assert [path.name for path in place.iterdir()] == ["notes.txt"]

    def test_a_plan_changes_and_says_nothing(self, tmp_path, capsys):
        sweeps.note_failure("of another time", sweeps.failures(str(tmp_path)) / "3.txt")
        config = OmegaConf.merge(self.config(tmp_path), {"plan": True})
        sweeps.Summary().on_multirun_start(config)
        sweeps.Summary().on_multirun_end(config)
        assert capsys.readouterr().out == ""
        assert (sweeps.failures(str(tmp_path)) / "3.txt").exists()

    def test_nothing_is_said_where_nothing_ran(self, tmp_path, capsys):
        sweeps.Summary().on_multirun_end(self.config(tmp_path / "none"))
        assert capsys.readouterr().out == ""


class TestNoteFailure:
    def test_the_first_reason_stays(self, tmp_path):
        for reason in ("the real one", "a closed connection"):
            sweeps.note_failure(reason, tmp_path / "a" / "failed.txt")
        assert (tmp_path / "a" / "failed.txt").read_text() == "the real one\n"

    def test_a_run_that_is_no_job_writes_none(self, monkeypatch):
        monkeypatch.delenv(sweeps.NOTE, raising=False)
        sweeps.note_failure("something")


@pytest.mark.parametrize(("jobs", "expected"), [(1, 8), (2, 4), (3, 2), (16, 1), (-1, 1)])
def test_jobs_share_the_processors(jobs, expected, monkeypatch):
    monkeypatch.setattr(sweeps.torch, "get_num_threads", lambda: 8)
    assert sweeps.threads(jobs) == expected
