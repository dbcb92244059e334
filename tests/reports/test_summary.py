import subprocess
import sys

from reports.summary import summary


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_runs_that_differ_in_the_seed_alone_share_a_row(tmp_path, make_run):
    make_run(tmp_path / "0", ["student=bilstm", "seed=1"], 0.6)
    make_run(tmp_path / "1", ["student=bilstm", "seed=2"], 0.7)
    make_run(tmp_path / "deep" / "2", ["student=cnn_lstm", "seed=1"], 0.4)
    header, _, bilstm, cnn = summary([tmp_path]).splitlines()
    assert cells(header)[1:4] == ["runs", "baseline", "student"]
    assert cells(bilstm)[:6] == ["student=bilstm", "2", "50.0 ± 0.0", "65.0 ± 7.1", "15.0 ± 7.1", "81.2 ± 8.8"]
    assert cells(cnn)[:4] == ["student=cnn_lstm", "1", "50.0", "40.0"]


def test_what_was_not_measured_stays_empty(tmp_path, make_run):
    make_run(tmp_path / "0", [], 0.6, baseline=None)
    make_run(tmp_path / "1", [])
    *_, row, _, left_out = summary([tmp_path]).splitlines()
    assert left_out == "Left out, as they failed, were pruned or have not ended: 1."
    assert cells(row)[:5] == ["defaults", "1", "", "60.0", ""]


def test_stages_are_no_runs_of_their_own(tmp_path, make_run):
    make_run(tmp_path / "stages" / "0", ["scheme=born_again"], 0.7)  # the sweep may lie anywhere
    make_run(tmp_path / "stages" / "0" / "stages" / "first", ["scheme=born_again"], 0.6)
    _, _, row = summary([tmp_path / "stages"]).splitlines()
    assert cells(row)[:2] == ["scheme=born_again", "1"]
    assert cells(row)[-1] == "40"


def test_a_missing_folder_is_one_line(tmp_path):
    command = [sys.executable, "-m", "reports", "summary", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no such folder" in done.stderr
    assert "Traceback" not in done.stderr
