"""What a command does when it is interrupted, and when another one is at work where it would be."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import train

pytestmark = pytest.mark.slow


@pytest.fixture
def start(overrides, heed_interrupts, tmp_path):
    """Starts a long run as a process."""
    settings = [part for part in overrides if not part.startswith("run_dir=")]
    place, pipe = f"hydra.run.dir={tmp_path}/run", subprocess.PIPE

    def start(*more, place=place):
        command = [sys.executable, train.__file__, *more, *settings, "student=bilstm", "trainer.max_epochs=5000", place]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, env=environment, preexec_fn=heed_interrupts
        )

    return start


def wait_for(path: Path, process: subprocess.Popen) -> None:
    while not path.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_says_how_to_go_on_and_is_alone_in_its_folder(number, start, tmp_path):
    process = start()
    wait_for(tmp_path / "run" / "distill" / "last.ckpt", process)
    if number == signal.SIGINT:
        other = start("seed=7")
        _, errors = other.communicate()
        assert (other.returncode, errors.count("\n")) == (1, 1)
        assert f"error: run_dir: another process works in {tmp_path}/run" in errors
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1] == f"interrupted; go on with resume={tmp_path}/run"
    assert "Traceback" not in errors
    assert not (tmp_path / "run" / "run.lock").exists()


def test_before_anything_has_begun_there_is_nothing_to_go_on_with(start, tmp_path):
    process = start()
    wait_for(tmp_path / "run", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("interrupted; ")


def test_a_job_that_is_ended_is_named_and_a_sweep_tells_how_to_go_on(start, tmp_path):
    process = start(
        "-m", "seed=1,2", "launcher=joblib", "hydra.launcher.n_jobs=1", place=f"hydra.sweep.dir={tmp_path}/sweep"
    )
    wait_for(tmp_path / "sweep" / "0" / "distill" / "last.ckpt", process)
    (job,) = jobs(tmp_path / "sweep" / "0")
    os.kill(job, signal.SIGTERM)
    wait_for(tmp_path / "sweep" / "1" / "distill" / "last.ckpt", process)
    assert (tmp_path / "sweep" / "0" / "failed.txt").read_text() == "ended by exit code 143\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted; the same command with sweep.resume=true goes on"
    deadline = time.monotonic() + 20
    while jobs(tmp_path / "sweep" / "1"):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def jobs(folder: Path) -> list[int]:
    """The processes that work in a folder."""
    found = subprocess.run(["pgrep", "-f", f"resume='{folder}'"], capture_output=True, text=True, check=False)
    return [int(number) for number in found.stdout.split()]


def test_a_reader_that_has_had_enough_ends_it_quietly(start):
    process = start("plan=true")
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait() == 141
    assert "Traceback" not in errors
