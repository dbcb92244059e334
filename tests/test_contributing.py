"""What CONTRIBUTING.md adds is added to a copy of the project, planned, tested and trained."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = re.findall(r"`([\w/]+\.(?:py|yaml))`[:,]\n\n```(?:python|yaml)\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = re.findall(r"`python (train\.py plan=true [^`]*)`", TEXT)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def copy(tmp_path_factory):
    """The project with the files of the tutorials."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    leave = shutil.ignore_patterns(".*", "outputs", "cache", "site", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=leave)
    for name, content in FILES:
        assert not (folder / name).exists(), f"{name} is there already"
        (folder / name).write_text(content, encoding="utf-8")
    return folder


def started(copy, *arguments):
    """What a command in the copy prints."""
    environment = os.environ | {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tutorials_are_found():
    assert [Path(name).suffix for name, _ in FILES].count(".py") == 3
    assert len(FILES) == 7
    assert len(COMMANDS) == 4


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_plans(command, copy, overrides):
    assert "pair      student <- teacher" in started(copy, *shlex.split(command), *without_folder(overrides))


def test_the_new_term_passes_its_test(copy):
    (test,) = (name for name, _ in FILES if "test_" in name)
    assert "1 passed" in started(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", test)


def test_the_new_terms_and_the_new_student_train(copy, overrides, tmp_path):
    settings = without_folder(overrides)
    terms = "kd=[response,confidence,embedding_cosine]"
    printed = started(copy, "train.py", *settings, terms, "baseline=false", f"hydra.run.dir={tmp_path}/one")
    assert "The student keeps" in printed
    started(copy, "train.py", *settings, "student=albert", "baseline=false", f"hydra.run.dir={tmp_path}/two")


def without_folder(overrides):
    return [override for override in overrides if not override.startswith("run_dir=")]
