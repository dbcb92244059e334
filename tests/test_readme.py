"""Every command of the README does what it says: here, that it plans."""

import re
import shlex
import sys
from math import prod
from pathlib import Path

import pytest

import train
from deploy.__main__ import main

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text().replace("\\\n", " ")
BLOCKS = re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("python train.py")]


def test_the_commands_are_found():
    assert len(COMMANDS) == 9


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_plans(command, monkeypatch, tmp_path, folder, fine_tuned, capfd):
    files = {"A.csv": "train", "B.csv": "validation", "C.csv": "test", "D.csv": "unlabelled"}
    for name, split in files.items():
        command = command.replace(name, f"{folder}/{split}.csv")
    if "MY_MODEL" in command:
        command = command.replace("MY_MODEL", str(fine_tuned)) + " data.max_length=64"
    words = [word for word in shlex.split(command, comments=True)[2:] if not word.startswith("hydra.sweep.dir=")]
    outputs = [f"hydra.run.dir={tmp_path}/run", f"hydra.sweep.dir={tmp_path}/sweep", f"cache_dir={tmp_path}/cache"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words, "plan=true", *outputs])
    assert train.command_line() == 0
    if "hparams_search" in command:
        assert "search    20 students within 2 ms and 5 MB" in capfd.readouterr().out
        return
    jobs = prod(word.count(",") + 1 for word in words if "[" not in word)
    assert capfd.readouterr().out.count("training  ") == jobs


@pytest.mark.slow
def test_the_student_is_used_as_shown(tmp_path, overrides, monkeypatch, capfd):
    """Its Python lines, and the commands that ask it."""
    monkeypatch.chdir(tmp_path)
    arguments = [*overrides[:-1], "student=bilstm", "baseline=false", "hydra.run.dir=outputs/RUN"]
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    assert train.command_line() == 0
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    *lines, last = block.splitlines()
    names: dict = {}
    exec("\n".join(lines), names)
    (answer,) = eval(last, names)
    (tmp_path / "reviews.csv").write_text("sentence\na charming and often affecting journey\n")
    capfd.readouterr()
    asking = [line for block in BLOCKS for line in block.splitlines() if line.startswith("python -m deploy")]
    for line in asking:
        assert main(shlex.split(line)[3:]) == 0
    label, probability, _ = capfd.readouterr().out.split("\t")
    assert label == answer["label"]
    assert float(probability) == pytest.approx(answer["score"], abs=1e-4)
    assert f",{label},{probability}," in (tmp_path / "answers.csv").read_text()


def test_every_choice_is_in_the_table():
    tables = {"kd": "knowledge.md", "experiment": "papers.md"}
    listed = {group: (ROOT / "docs" / name).read_text() for group, name in tables.items()}
    for path in (ROOT / "conf").glob("*/*.yaml"):
        if path.parent.name != "trainer" and path.stem not in ("text", "base"):
            rows = listed.get(path.parent.name, "")
            assert any(f"| {name} |" in rows for name in (path.stem, f"`{path.stem}`")) or f"`{path.stem}`" in TEXT, (
                path
            )
