"""What a run says while it goes on: in a terminal, in a pipe, and when it is to be quiet."""

import os
import pty
import re
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

from potstill.terminal import has_bars

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
LINE = re.compile(
    r"(teacher|distil|baseline)(?:  epoch \d/2)?  step \d+/\d+  val/accuracy 0\.\d{3}( \(best\))?.*  \d+ s"
)


@pytest.fixture
def command(overrides, pretrained, tmp_path):
    """A whole small run, with a teacher to fine-tune."""
    own = [override for override in overrides if not override.startswith(("run_dir", "cache_dir", "teacher.path"))]
    own.remove("trainer.enable_progress_bar=false")
    own += [
        f"teacher.path={pretrained}",
        "teacher.fine_tuning.epochs=2",
        "student=bilstm",
        "trainer.log_every_n_steps=3",
    ]
    own += [f"cache_dir={tmp_path}/cache", f"hydra.run.dir={tmp_path}/run"]
    return [sys.executable, str(ROOT / "train.py"), *own]


@pytest.fixture
def environment(monkeypatch):
    """As in a plain terminal."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def piped(command, *more):
    done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def in_a_terminal(command):
    """What it writes on both outputs, which are a terminal."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    said: list[bytes] = []

    def read():
        try:
            while chunk := os.read(ours, 65536):
                said.append(chunk)
        except OSError:  # the other end is closed
            pass

    reader = threading.Thread(target=read)
    reader.start()
    code = subprocess.run(command, stdout=theirs, stderr=theirs, check=False).returncode
    os.close(theirs)
    reader.join()
    os.close(ours)
    assert code == 0, b"".join(said).decode()
    return b"".join(said).decode()


def test_a_pipe_gets_a_line_for_each_validation_and_no_control_characters(command, environment):
    out, err = piped(command)
    assert (CONTROL.findall(out), err) == ([], "")
    lines = [found for line in out.splitlines() if (found := LINE.fullmatch(line))]
    assert [found[1] for found in lines] == ["teacher"] * 2 + ["distil"] * 2 + ["baseline"] * 2
    assert [bool(found[2]) for found in lines][::2] == [True] * 3, "the first one of each is the best so far"
    assert "  loss " in lines[-1][0]


def test_a_terminal_has_a_bar_for_each_phase_and_the_same_lines(command, environment):
    said = in_a_terminal(command)
    for phase, unit in (("teacher", "step"), ("asking the teacher", "row"), ("distil", "step"), ("baseline", "step")):
        assert re.search(rf"\r{phase}: +\d+%\|.*{unit}", said), phase
    lines = [found for line in re.split(r"[\r\n]+", said) if (found := LINE.fullmatch(line.removeprefix("\x1b[A")))]
    assert [found[1] for found in lines] == ["teacher"] * 2 + ["distil"] * 2 + ["baseline"] * 2


@pytest.mark.parametrize("how", ["trainer.enable_progress_bar=false", "CI", "TERM"])
def test_bars_can_be_left_out(how, command, environment, monkeypatch):
    command += ["baseline=false"]
    if "=" in how:
        command += [how]
    else:
        monkeypatch.setenv(how, "dumb")
    said = in_a_terminal(command).replace("\r\n", "\n")
    assert CONTROL.findall(said) == []
    assert len([line for line in said.splitlines() if LINE.fullmatch(line)]) == 4


def test_a_quiet_run_prints_its_report(command, environment):
    out, err = piped(command, "quiet=true")
    assert err == ""
    assert out.startswith("\n# What the student costs and saves\n")
    assert "val/accuracy" not in out


def test_no_bars_in_a_file(capfd):
    assert not has_bars()
