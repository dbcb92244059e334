"""Published systems: short, with their source, and possible with the packaged teacher on any data."""

import csv
import re
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from kd.plan import make_plan
from kd.stages import compose_stages, plan_stages

ROOT = Path(__file__).parent.parent
EXPERIMENTS = sorted((ROOT / "conf" / "experiment").glob("*.yaml"))
OWN = {"sample", "scheme_table", "recipes"}
TAGGERS = {"izsak_cnn_lstm", "hahn_choi", "xtremedistil"}


@pytest.fixture
def overrides(folder, tmp_path):
    """The sentences with a label and tags, and the teacher that comes in a package."""
    paths = []
    for split in ("train", "validation", "test"):
        with (folder / f"{split}.csv").open(newline="") as file:
            rows = [(row["sentence"], row["label"]) for row in csv.DictReader(file)]
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            tagged = [(text, label, " ".join("AB"[len(word) > 3] for word in text.split())) for text, label in rows]
            csv.writer(file).writerows([("sentence", "label", "tags"), *tagged])
        paths.append(f"data.{split}={tmp_path}/{split}.csv")
    return [
        "data=files",
        "data.text=sentence",
        *paths,
        "data.max_length=64",
        f"cache_dir={tmp_path}/cache",
        "logger=[]",
    ]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_reads_like_a_method_section(path):
    text = path.read_text(encoding="utf-8")
    comment = "".join(line[1:] for line in text.splitlines()[1:] if line.startswith("#"))
    assert len(text.splitlines()) <= 40
    assert path.stem in OWN or re.search(r"\d{4}, arXiv \d{4}\.\d{4,5}", comment)


@pytest.mark.slow
@pytest.mark.parametrize("name", [path.stem for path in EXPERIMENTS if path.stem not in OWN])
def test_an_experiment_can_be_planned(name, overrides, tmp_path):
    more = ["data.label=tags", "data/task=tagging"] if name in TAGGERS else []
    overrides = [f"experiment={name}", *overrides, *more, f"run_dir={tmp_path}/run"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("train", overrides)
        if config.stages:
            plans = plan_stages(compose_stages(config, overrides, tmp_path / "run"))
        else:
            plans = {"whole": str(make_plan(config))}
    assert all("training" in plan for plan in plans.values())
    assert "student" in list(plans.values())[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tinybert", "mobilebert"])
def test_stages_on_texts_alone_leave_variants_out(name, overrides, tmp_path):
    overrides = [f"experiment={name}", *overrides, "data/augmentation=tang", f"run_dir={tmp_path}/run"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        plans = plan_stages(compose_stages(compose("train", overrides), overrides, tmp_path / "run"))
    assert ["variants of labelled rows" in plan for plan in plans.values()].count(True) in (1, 2)
    assert "variants of labelled rows" not in next(iter(plans.values()))
