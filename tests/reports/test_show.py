import pytest

from potstill.errors import UserError
from reports.show import compare, show


def test_a_run_that_has_ended(tmp_path, make_run):
    folder = make_run(tmp_path / "0", ["student=cnn_lstm", "seed=3"], 0.6)
    text = show(folder)
    assert text.startswith(f"{folder}: done, accuracy 60.0%\n")
    for said in ("student      cnn_lstm\n", "teacher      minilm\n", "seed         3\n", "| student  |    60.0% |"):
        assert said in text
    assert text.endswith("    python train.py student=cnn_lstm seed=3\n")


def test_a_run_that_goes_on_tells_how_far_it_is_and_its_stages(tmp_path, make_run):
    folder = make_run(tmp_path / "a b", [], metrics="step,baseline/train/loss,train/loss\n99,,0.5\n49,0.4,\n")
    make_run(folder / "stages" / "first", [], 0.6)
    make_run(folder / "stages" / "second", [])
    text = show(folder)
    assert (
        f"unfinished, baseline, step 50; if it is no longer running, go on with python train.py 'resume={folder}'"
        in text
    )
    assert "stage        first: done, accuracy 60.0%\n" in text
    assert "stage        second: unfinished, nothing measured yet" in text


def test_a_run_that_failed_tells_why(tmp_path, make_run):
    folder = make_run(tmp_path / "0", ["scheme=self"])
    (folder / "failed.txt").write_text("one layer")
    assert f"{folder}: failed: one layer\n" in show(folder)
    assert show(folder).endswith("    python train.py scheme=self\n")


def test_a_command_that_nobody_knows_is_not_made_up(tmp_path, make_run):
    folder = make_run(tmp_path / "0", [])
    (folder / "overrides.yaml").unlink()
    assert "python train.py\n" not in show(folder)
    assert "the command is not known" in show(folder)


def test_two_runs_side_by_side(tmp_path, make_run):
    first = make_run(tmp_path / "0", ["student=bilstm"], 0.6)
    second = make_run(tmp_path / "1", ["student=cnn_lstm", "kd=relation"], 0.55)
    lines = compare(first, second).splitlines()
    cells = {
        line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines if "|" in line
    }
    assert cells["score"] == ["60.0%", "55.0%", "-5.0%"]
    assert cells["gain"] == ["10.0%", "5.0%", "-5.0%"]
    assert cells["student._target_"] == ["bilstm", "cnn_lstm"]
    assert cells["kd.terms.relation.temperature"] == ["-", "2.0"]
    assert "run_dir" not in cells
    assert "difference says nothing" not in "\n".join(lines)


def test_scores_of_other_metrics_are_told_apart(tmp_path, make_run):
    first, second = make_run(tmp_path / "0", [], 0.6), make_run(tmp_path / "1", [], 0.6, metric="f1")
    text = compare(first, second)
    assert "their difference says nothing" in text
    assert text.endswith("The configs are the same.\n")


def test_a_correlation_is_no_percentage(tmp_path, make_run):
    folder = make_run(tmp_path / "0", [], -0.2, metric="pearson")
    assert "done, pearson -0.200\n" in show(folder)
    assert "| student  |  -0.200 |" in show(folder)
    (score,) = [line for line in compare(folder, folder).splitlines() if line.startswith("| score ")]
    assert score.split()[3:8:2] == ["-0.200", "-0.200", "0.000"]


def test_an_unfinished_run_is_compared_by_its_config(tmp_path, make_run):
    first, second = make_run(tmp_path / "0", ["seed=1"], 0.6), make_run(tmp_path / "1", ["seed=2"])
    assert "| seed   |  1 |  2 |" in compare(first, second)


@pytest.mark.parametrize("name", ["nowhere", "sweep"])
def test_what_is_no_run_is_refused(tmp_path, make_run, name):
    make_run(tmp_path / "sweep" / "0", [])
    with pytest.raises(UserError, match=r"no such folder|no run folder"):
        show(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [("split", "part", "no split"), ('"overrides": []', '"overrides": 1', "Value after")],
)
def test_a_report_that_lacks_or_garbles_something_is_one_line(tmp_path, make_run, old, new, said):
    folder = make_run(tmp_path / "0", [], 0.6)
    report = folder / "report.json"
    report.write_text(report.read_text().replace(old, new))
    with pytest.raises(UserError, match=rf"report\.json: {said}"):
        show(folder)
