import ast
import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from bench import work
from bench.sides import losses
from kd.knowledge import distances
from kd.knowledge.reduction import mean_over_real

ROOT = Path(__file__).parent.parent.parent
PEERS = ("hugging_face", "textbrewer_side", "torchdistill_side", "losses", "task")
OURS = {"data", "deploy", "kd", "models", "potstill", "reports", "train"}


@pytest.mark.parametrize("side", PEERS)
def test_a_peer_reads_nothing_of_ours_but_the_students(side):
    names = set()
    for node in ast.walk(ast.parse((ROOT / f"bench/sides/{side}.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    assert names & OURS <= {"models"}


def test_the_formulas_are_ours():
    draw = torch.Generator().manual_seed(0)
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]])
    x, y = (torch.randn(2, 4, 8, generator=draw) for _ in range(2))
    torch.testing.assert_close(losses.hidden_mse(x, y, mask), mean_over_real(distances.mse(x, y), mask.bool()))
    x, y = (torch.randn(2, 3, 4, 4, generator=draw) for _ in range(2))
    real = mask.bool()[:, None, :, None] & mask.bool()[:, None, None, :]
    torch.testing.assert_close(losses.attention_mse(x, y, mask), mean_over_real((x - y).square(), real))
    x, y = (torch.randn(5, 3, generator=draw) for _ in range(2))
    torch.testing.assert_close(losses.soft_targets(x, y, 2.0), distances.soft_targets(x, y, 2.0).mean())


@pytest.fixture(scope="module")
def common(tmp_path_factory, folder, fine_tuned, cache):
    """Small work: 96 rows, a tiny teacher, no dropout."""
    place = tmp_path_factory.mktemp("bench")
    shutil.copytree(fine_tuned, place / "tiny")
    config = place / "tiny/config.json"
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config.write_text(json.dumps(json.loads(config.read_text()) | without))
    data = ["data=files", *(f"data.{split}={folder}/{split}.csv" for split in ("train", "validation", "test"))]
    settings = work.Settings(rows=80, test_rows=32, batch_size=16, max_length=64)
    work.make(place / "work", settings, [str(place / "tiny")], cache, [*data, "data.text=sentence"])
    return place / "work"


def took(common, tmp_path, module, mode, student="bert_small", terms="response", epochs=2):
    """What a side took."""
    result = tmp_path / f"{module}-{mode}.json"
    scratch = tmp_path / f"{module}-{mode}"
    scratch.mkdir()
    given = {"work": common, "teacher": "tiny", "student": student, "terms": terms, "epochs": epochs}
    given |= {"mode": mode, "result": result, "scratch": scratch}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", f"bench.sides.{module}", *words]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(result.read_text())


@pytest.mark.slow
def test_other_work_in_the_folder_is_not_taken_for_this(common, cache):
    with pytest.raises(ValueError, match="other settings"):
        work.make(common, work.Settings(rows=81), ["minilm"], cache)


@pytest.mark.slow
def test_the_bare_loop_does_what_plain_training_does(common, tmp_path):
    bare, plain = took(common, tmp_path, "bare", "labels"), took(common, tmp_path, "potstill", "labels")
    assert bare["updates"] == plain["updates"] == 10
    assert len(bare["epoch_seconds"]) == len(plain["epoch_seconds"]) == 2
    assert plain["first_loss"] == pytest.approx(bare["first_loss"], rel=1e-5)
    assert plain["last_loss"] == pytest.approx(bare["last_loss"], rel=1e-3)
    assert plain["last_loss"] < plain["first_loss"]
    assert plain["end"] == pytest.approx(bare["end"], rel=1e-3)
    assert plain["store_seconds"] < 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("student", "terms"), [("bert_small", "features"), ("bilstm", "features")])
def test_stored_and_live_teacher_and_the_peers_have_one_loss(common, tmp_path, student, terms):
    sides = [("potstill", "store"), ("potstill", "live")]
    sides += [("hugging_face", mode) for mode in ("padded", "grouped") if find_spec("accelerate")]
    sides += [("torchdistill_side", "live")] if find_spec("torchdistill") else []
    results = [took(common, tmp_path, *side, student, terms) for side in sides]
    first = results[0]
    assert first["store_seconds"] > 0
    for result in results:
        assert result["updates"] == 10
        assert result["first_loss"] == pytest.approx(first["first_loss"], rel=1e-4)
        assert result["start"] == pytest.approx(first["start"], rel=1e-4, abs=1e-6)
        assert result["last_loss"] < result["first_loss"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("textbrewer") is None, reason="TextBrewer is not installed")
@pytest.mark.parametrize("mode", ["general", "cached"])
def test_textbrewer_adds_the_entropy_of_the_teacher(common, tmp_path, mode):
    theirs, ours = took(common, tmp_path, "textbrewer_side", mode), took(common, tmp_path, "hugging_face", "dynamic")
    assert theirs["first_loss"] > ours["first_loss"]
    assert theirs["updates"] == 10
    assert len(theirs["epoch_seconds"]) == 2
    assert (theirs["store_seconds"] > 0) == (mode == "cached")
