import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from kd.store import __main__ as program
from kd.store.store import Settings, Store
from models.output import LOGITS

FIELDS = frozenset({LOGITS})


@pytest.fixture
def store(tmp_path):
    store = Store(Settings(str(tmp_path)), "key", {"teacher": "bert, 6 layers", "max_length": 128})
    store.check(FIELDS)
    store.column("logits").append(np.array([1, 2]), np.array([2, 2]), torch.ones(4), (2,))
    store.index(FIELDS)
    return store


def test_the_command_line_lists(store, tmp_path):
    command = [sys.executable, "-m", "kd.store", "list", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert "bert, 6 layers; 128 tokens" in done.stdout
    assert "logits                              2 rows" in done.stdout


def test_whole_shards_are_said_to_be_whole(store, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kd.store", "verify", str(tmp_path)])
    assert program.main() == 0
    assert capsys.readouterr().out == "all shards are whole\n"


@pytest.mark.parametrize("command", ["list {store}", "verify {place}/none", "prune {place} --days -1"])
def test_what_cannot_be_done_is_told(command, store, tmp_path, monkeypatch, capsys):
    words = command.format(store=store.folder, place=tmp_path).split()
    monkeypatch.setattr(sys, "argv", ["kd.store", *words])
    with pytest.raises(SystemExit, match="2"):
        program.main()
    assert "error: " in capsys.readouterr().err


def test_verify_names_what_is_damaged(store, tmp_path, monkeypatch, capsys):
    (shard,) = store.column("logits").shards()
    shard.write_bytes(shard.read_bytes()[:-3])
    monkeypatch.setattr(sys, "argv", ["kd.store", "verify", str(tmp_path)])
    assert program.main() == 1
    assert f"{shard}: damaged" in capsys.readouterr().out
    assert "logits                              ? rows" in "\n".join(program.listing(tmp_path))


def test_prune_removes_what_is_unused_or_left_over(store, tmp_path):
    left = store.folder / "logits" / "x.unfinished"
    left.write_bytes(b"123")
    assert list(program.prune(tmp_path, 1)) == [f"{left}: 3 bytes removed"]
    assert len(store.column("logits").shards()) == 1
    (line,) = program.prune(tmp_path, 0)
    assert "removed" in line
    assert not store.folder.exists()


def test_prune_leaves_alone_what_is_being_filled(store, tmp_path):
    with FileLock(store.folder.with_suffix(".lock"), is_singleton=False):
        (line,) = program.prune(tmp_path, 0)
    assert "kept, a run is filling it" in line
    assert store.folder.exists()
