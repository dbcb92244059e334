import json
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request

import pytest

from potstill.errors import UserError
from reports.watch import HOST, Watched, server_of, version


@pytest.fixture
def served(tmp_path, make_run):
    """A function that asks a served page of one unfinished run."""
    make_run(tmp_path / "0", ["student=bilstm"])
    server = server_of(Watched([tmp_path]), 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def ask(path):
        with urllib.request.urlopen(f"http://{HOST}:{server.server_port}{path}") as answer:
            return answer.status, answer.read().decode()

    yield ask
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_page_and_its_data_are_served(served):
    status, page = served("/")
    assert (status, page.startswith("<!doctype html>")) == (200, True)
    assert json.loads(served("/data")[1])["runs"][0]["state"] == "unfinished"


def test_data_come_only_when_something_has_changed(served, tmp_path, make_run):
    known = json.loads(served("/data")[1])["version"]
    assert served(f"/data?{known}") == (204, "")
    (tmp_path / "0" / "metrics.csv").write_text("step,train/loss\n1,0.5\n")
    data = json.loads(served(f"/data?{known}")[1])
    assert data["runs"][0]["curves"] == {"train/loss": [[1], [0.5], 1]}
    make_run(tmp_path / "1", ["student=cnn_lstm"], 0.6)
    assert [run["state"] for run in json.loads(served(f"/data?{data['version']}")[1])["runs"]] == ["unfinished", "done"]


def test_other_places_are_not_there(served):
    with pytest.raises(urllib.error.HTTPError, match="404"):
        served("/etc/passwd")


def test_a_last_run_that_is_removed_is_said(served, tmp_path):
    (tmp_path / "0").rename(tmp_path.parent / "elsewhere")
    with pytest.raises(urllib.error.HTTPError, match=r"503.*no runs"):
        served("/data")


def test_the_version_is_that_of_the_files(tmp_path, make_run):
    make_run(tmp_path / "0", [])
    before = version([tmp_path])
    assert version([tmp_path]) == before
    (tmp_path / "0" / "failed.txt").write_text("killed")
    assert version([tmp_path]) != before


def test_a_port_that_is_taken_is_one_line(tmp_path, make_run):
    make_run(tmp_path / "0", [])
    watched = Watched([tmp_path])
    with server_of(watched, 0) as server, pytest.raises(UserError, match=r"--port \d+: .*; take another one"):
        server_of(watched, server.server_port)


def test_ctrl_c_stops_it_in_one_line(tmp_path, make_run, heed_interrupts):
    make_run(tmp_path / "0", [])
    command = [sys.executable, "-m", "reports", "leaderboard", str(tmp_path), "--watch", "--port", "0"]
    process = subprocess.Popen(
        command, preexec_fn=heed_interrupts, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith(f"http://{HOST}:")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (out.strip(), err, process.returncode) == ("stopped", "", 0)
