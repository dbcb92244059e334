import json

import pytest

from potstill.errors import UserError
from reports.runs import read, read_runs, stages


def test_a_run_that_has_ended(tmp_path, make_run):
    run = read(make_run(tmp_path / "0", ["student=bilstm", "seed=3"], 0.6))
    assert (run.state, run.reason, run.report["student"]["score"]) == ("done", "", 0.6)
    assert run.overrides == ("student=bilstm", "seed=3")
    assert run.choices["teacher"] == "minilm"
    assert (run.config["seed"], run.config["kd.terms.response.temperature"]) == (3, 2.0)


def test_a_job_that_failed_has_a_reason(tmp_path, make_run):
    folder = make_run(tmp_path / "0", ["scheme=self"])
    (folder / "failed.txt").write_text("scheme.exits: one layer;\ntake two\n")
    assert (read(folder).state, read(folder).reason) == ("failed", "scheme.exits: one layer; take two")


def test_a_run_that_a_search_ended_is_pruned(tmp_path, make_run):
    words = ["seed=1", "callbacks=[pruning]", "callbacks.pruning.storage=sqlite:///search.db"]
    folder = make_run(tmp_path / "0", words)
    (folder / "failed.txt").write_text("pruned: others did better")
    assert (read(folder).state, read(folder).reason) == ("pruned", "others did better")
    assert read(folder).command == "python train.py seed=1"


def test_without_overrides_nobody_knows_the_command(tmp_path, make_run):
    folder = make_run(tmp_path / "0", ["student=bilstm"])
    (folder / "overrides.yaml").unlink()
    assert (read(folder).overrides, read(folder).command) == (None, "")


@pytest.mark.parametrize(
    ("config", "seed"), [("seed: [1]", "[1]"), ("seed: .nan", "nan"), ("seed: 3", "3"), ("a: 1", "7")]
)
def test_a_seed_is_words(tmp_path, make_run, config, seed):
    folder = make_run(tmp_path / "0", ["seed=7"])
    (folder / "config.yaml").write_text(config)
    assert read(folder).seed == seed


def test_a_run_without_report_and_reason_is_unfinished(tmp_path, make_run):
    assert read(make_run(tmp_path / "0", [])).state == "unfinished"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("report.json", '{"metric": "accur', "report.json: Unterminated string"),
        ("report.json", "", "report.json: Expecting value"),
        ("report.json", '{"metric": "accuracy", "student": {"score": 0.5}}', "report.json: no student.parameters"),
        ("report.json", "[1]", "report.json: no metric"),
        ("report.json", '{"metric": "f1", "student": 1e999}', "report.json: no student.score"),
        ("report.json", "[" * 100_000, "report.json: maximum recursion depth"),
        ("config.yaml", "a: &a [*a]", "Circular reference"),
        ("report.json", b"\xff\xfe", "report.json: 'utf-8' codec"),
        ("config.yaml", "seed: [1,\nstudent", "config.yaml, line "),
        ("config.yaml", "- 1", "config.yaml: no keys with values"),
        ("overrides.yaml", "a: 1", "overrides.yaml: no list of overrides"),
    ],
)
def test_a_broken_file_makes_a_failed_run_that_names_it(tmp_path, make_run, name, content, reason):
    folder = make_run(tmp_path / "0", [], 0.6)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    run = read(folder)
    assert run.state == "failed"
    assert run.reason.startswith(reason)
    assert "\n" not in run.reason
    assert run.report == {}


def test_a_score_that_is_no_number_is_a_failure_too(tmp_path, make_run):
    run = read(make_run(tmp_path / "0", [], float("nan")))
    assert (run.state, run.reason) == ("failed", "report.json: no student.score")


def test_a_file_that_changes_is_read_again(tmp_path, make_run):
    folder = make_run(tmp_path / "0", [])
    assert read(folder).state == "unfinished"
    (folder / "failed.txt").write_text("killed")
    assert read(folder).state == "failed"


def test_stages_are_no_runs_of_their_own(tmp_path, make_run):
    top = make_run(tmp_path / "stages" / "0", [], 0.7)  # the sweep may lie anywhere
    make_run(top / "stages" / "first", [], 0.6)
    assert [run.folder for run in read_runs([tmp_path / "stages"])] == [top]
    assert [stage.folder.name for stage in stages(read(top))] == ["first"]
    assert stages(read(top / "stages" / "first")) == []


def test_a_stray_file_hides_no_run_and_hidden_folders_hold_none(tmp_path, make_run):
    run = make_run(tmp_path / "deep" / "0", [], 0.7)
    make_run(run / ".hydra", [])
    (tmp_path / "report.json").write_text("[]")
    assert [(run.folder, run.state) for run in read_runs([tmp_path])] == [(run, "done"), (tmp_path, "failed")][::-1]


def test_each_run_is_found_once_and_jobs_are_in_order(tmp_path, make_run):
    for number in (10, 9, 0):
        make_run(tmp_path / str(number), [])
    runs = read_runs([tmp_path, tmp_path / "9"])
    assert [run.folder.name for run in runs] == ["0", "9", "10"]


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        read_runs([tmp_path / "nowhere"])


def test_the_command_makes_the_run_again_elsewhere(tmp_path, make_run):
    run = read(make_run(tmp_path / "0", ["kd=[response,relation]", "data.text=it's", "run_dir=x", "seed=2"]))
    assert run.command == """python train.py 'kd=[response,relation]' 'data.text=it'"'"'s' seed=2"""


def test_the_folder_of_a_run_is_no_difference_in_its_config(tmp_path, make_run):
    run = read(make_run(tmp_path / "0", [], config={"start_from": f"{tmp_path}/0/stages/first"}))
    assert run.config["start_from"] == "${run_dir}/stages/first"


def test_a_report_alone_is_a_run(tmp_path, make_run):
    folder = make_run(tmp_path / "0", ["student=bilstm"], 0.6)
    for name in ("config.yaml", "overrides.yaml", "choices.yaml"):
        (folder / name).unlink()
    run = read(folder)
    assert (run.state, run.overrides, run.config) == ("done", ("student=bilstm",), {})
    assert json.dumps(run.report)
