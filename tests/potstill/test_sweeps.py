import json
import os

import pytest
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
        a_sweep(tmp_path / "first", "seed=1,2", "kd=none", age=20)
        a_sweep(tmp_path / "second", "kd=none", "seed=1,2", age=10)
        a_sweep(tmp_path / "third", "kd=none", "seed=1,2,3")
        line = ["-m", "seed=1,2", "kd=none", "hydra.launcher.n_jobs=2"]
        found = sweeps.gone_on([*line, "sweep.resume=true"], tmp_path)
        assert found == [*line, f"hydra.sweep.dir={tmp_path / 'second'}"]

    def test_a_folder_that_is_named_is_taken(self, tmp_path):
        line = ["-m", "seed=1,2", "hydra.sweep.dir=x"]
        assert sweeps.gone_on([*line, "sweep.resume=true"], tmp_path) == line

    def test_there_must_be_one(self, tmp_path):
        a_sweep(tmp_path / "first", "seed=1,2")
        with pytest.raises(UserError, match=r"sweep\.resume=true: no sweep of these overrides in"):
            sweeps.gone_on(["-m", "seed=1", "sweep.resume=true"], tmp_path)


class TestSummary:
    def test_failed_runs_are_named(self, tmp_path, capsys):
        for name in "012":
            (tmp_path / name).mkdir()
            (tmp_path / name / "overrides.yaml").touch()
        (tmp_path / "1" / "failed.txt").write_text("no such file\n")
        (tmp_path / "2" / "report.json").write_text(json.dumps({}))
        sweeps.Summary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
        assert capsys.readouterr().out.splitlines() == [
            f"sweep: 1 of 3 runs done in {tmp_path}",
            f"failed: {tmp_path}/1: no such file",
        ]
        assert sweeps.failed == ["no such file"]
        sweeps.failed.clear()

    def test_nothing_is_said_where_nothing_ran(self, tmp_path, capsys):
        sweeps.Summary().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
        assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("jobs", "expected"), [(1, 8), (2, 4), (3, 2), (16, 1), (-1, 1)])
def test_jobs_share_the_processors(jobs, expected, monkeypatch):
    monkeypatch.setattr(sweeps.torch, "get_num_threads", lambda: 8)
    assert sweeps.threads(jobs) == expected
