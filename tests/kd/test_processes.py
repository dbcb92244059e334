"""Two processes that share a batch move the weights as one process does; two runs learn from one another."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from safetensors.torch import load_file

import train

pytestmark = pytest.mark.slow

WAYS = {
    "mutual": ["scheme=mutual"],
    "codistillation": ["scheme=codistillation", "scheme.burn_in=0"],
    "ensemble": ["scheme=ensemble", "scheme.weights=learned", "+teacher@scheme.teachers.second=local"],
    "relation": ["kd=[relation,correlation,affinity,instance_edges]"],
    "contrast": ["kd=contrast"],
    "graph": ["kd=representation_graph"],
    "transport": ["kd=transported_layers", "+kd.terms.transported_layers.read=mean_states"],
    "bank": ["kd=[response,bank_contrast]"],
}


def start(*arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, train.__file__, *arguments], env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.fixture
def one_batch(folder, overrides, tmp_path):
    """What makes a run of a single update, over 32 labelled rows."""
    with (folder / "train.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    with (tmp_path / "few.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows[:32]])
    replaced = ("run_dir=", "data.train=", "data.unlabelled=", "data.batch_size=", "trainer.max_epochs=")
    kept = [part for part in overrides if not part.startswith(replaced)]
    return [
        *kept,
        f"data.train={tmp_path}/few.csv",
        "trainer.max_epochs=1",
        "student=bilstm",
        "student.dropout=0",
        "optimizer=sgd",
        "optimizer.lr=0.1",
        "optimizer.warmup=0",
        "baseline=false",
        "logger=[]",
    ]


@pytest.mark.parametrize("name", WAYS)
def test_two_processes_take_the_same_first_step_as_one(name, one_batch, other_fine_tuned, tmp_path):
    more = [*one_batch, *WAYS[name]]
    if name == "ensemble":
        more.append(f"scheme.teachers.second.path={other_fine_tuned}")
    with initialize_config_dir(str(Path(train.__file__).parent / "conf"), version_base="1.3"):
        train.run(compose("train", [*more, "data.batch_size=32", f"run_dir={tmp_path / 'one'}"]), [])
    halves = ["data.batch_size=16", "trainer.devices=2", "trainer.strategy=ddp", f"hydra.run.dir={tmp_path / 'two'}"]
    assert start(*more, *halves).wait(timeout=120) == 0
    one, two = (torch.load(tmp_path / place / "distill" / "best.ckpt", weights_only=False) for place in ("one", "two"))
    assert one["global_step"] == two["global_step"] == 1
    assert set(one["state_dict"]) == set(two["state_dict"])
    for key, weight in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][key], weight, rtol=1e-4, atol=1e-6, msg=f"{key} differs")


def test_two_runs_learn_from_one_another(overrides, tmp_path):
    """Each in a process of its own; which of them hears the other depends on who is ahead."""
    settings = [part for part in overrides if not part.startswith("run_dir=")]
    settings += ["student=bilstm", "scheme=codistillation_apart", f"scheme.folder={tmp_path}/shared"]
    settings += ["scheme.interval=3", "baseline=false", "logger=[]", "trainer.max_epochs=4"]
    runs = [
        start(*settings, "scheme.name=a", "scheme.others=[b]", "seed=1", f"hydra.run.dir={tmp_path}/a"),
        start(*settings, "scheme.name=b", "scheme.others=[a]", "seed=2", f"hydra.run.dir={tmp_path}/b"),
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    assert {path.name for path in Path(tmp_path / "shared").iterdir()} == {"a.safetensors", "b.safetensors"}
    heard = []
    for name in ("a", "b"):
        state = torch.load(tmp_path / name / "distill" / "best.ckpt", weights_only=False)["state_dict"]
        heard += state["scheme._extra_state"]["heard"]
        assert load_file(tmp_path / name / "student" / "model.safetensors")
    assert heard
