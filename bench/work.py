"""Makes the common work: rows, teachers, and students with their first weights.

In its folder there are

- `train.csv`, `validation.csv`, `test.csv`: the rows, for Potstill;
- `train.json`, `test.json`: the same rows as the teacher's tokenizer cuts them, for the others;
- for each teacher a folder: the teacher, each student with its first weights, which layers are compared,
  and the teacher's logits of the test rows;
- `work.json`: the settings.
"""

import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from bench.sides.task import Row, collate
from data.tokenization import TrainingTexts
from kd.assembly import Assembly
from kd.knowledge.pairing import layers
from kd.plan import make_plan, read_examples
from kd.schemes.base import STUDENT, TEACHER
from models.network import Network
from models.vocabulary import cut_vocabulary

ROOT = Path(__file__).parent.parent
STUDENTS: dict[str, list[str]] = {
    "bert_small": [],
    "bilstm": ["student.vocabulary=teacher"],  # which is cut already, so that one encoding serves both
}
AS_FOR_MINILM = {"bert_small": ["student.hidden_size=384"], "bilstm": ["student.embedding_size=384"]}
SAMPLE = ("data=rotten_tomatoes", "data.split.labelled_rows=null")


@dataclass(frozen=True)
class Settings:
    """What all sides have in common.

    Args:
        rows, validation_rows, test_rows: how many.
        seed: of the choice of rows, first weights and batches.
        batch_size, max_length, weight_decay, warmup, clip, temperature: of training.
    """

    rows: int = 1000
    validation_rows: int = 100
    test_rows: int = 500
    seed: int = 1
    batch_size: int = 32
    max_length: int = 128
    weight_decay: float = 0.01
    warmup: float = 0.1
    clip: float = 1.0
    temperature: float = 2.0


def make(folder: Path, settings: Settings, teachers: Sequence[str], cache: Path, data: Sequence[str] = SAMPLE) -> None:
    """Make what is missing of the work.

    Args:
        folder: where to.
        settings: of the work.
        teachers: `minilm`, `large`, or folders of fine-tuned teachers, which go by their last name.
        cache: of Potstill, where the fine-tuned teacher may be found.
        data: the overrides that choose the data.

    Raises:
        ValueError: there is other work in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / "work.json"
    if written.exists() and json.loads(written.read_text()) != asdict(settings):
        raise ValueError(f"{folder} holds work with other settings; take another folder")
    for teacher in teachers:
        place = folder / Path(teacher).name
        if not (place / "pairs.json").exists():
            make_teacher(place / "teacher", teacher, settings, cache)
            if not written.exists():
                write_rows(folder, settings, cache, data, place / "teacher")
                written.write_text(json.dumps(asdict(settings)))
            make_students(folder, place, settings, cache)


def configure(cache: Path, *overrides: str) -> DictConfig:
    """A config of Potstill."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("train", overrides=[f"cache_dir={cache}", f"run_dir={cache}", "logger=[]", *overrides])


def make_teacher(place: Path, teacher: str, settings: Settings, cache: Path) -> None:
    """Save a teacher with a trained classifier; the large one has random weights."""
    if teacher not in ("minilm", "large"):
        shutil.copytree(teacher, place)
        return
    config = configure(cache, *SAMPLE[:1], "teacher=minilm")
    plan = make_plan(config)
    network = Assembly(config, plan, cache, []).teachers()[0][TEACHER]
    cut(network, TrainingTexts(plan.examples.transfer, settings.max_length))
    if teacher == "large":
        torch.manual_seed(settings.seed)
        names = {name: getattr(network.model.config, name) for name in ("vocab_size", "id2label", "label2id")}
        network.model = BertForSequenceClassification(BertConfig(**names))
    network.save(place)


def cut(network: Network, texts: TrainingTexts) -> None:
    """Leave the network only those pieces of its vocabulary that the texts use."""
    tokenizer = cut_vocabulary(network.tokenizer, texts.ids(network.tokenizer))
    pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    kept = network.tokenizer.convert_tokens_to_ids(pieces)
    table = torch.as_tensor(network.model.get_input_embeddings().weight).detach()[kept]
    network.model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    torch.as_tensor(network.model.get_input_embeddings().weight).data.copy_(table)
    network.model.config.pad_token_id = tokenizer.pad_token_id
    network.tokenizer = tokenizer


def write_rows(folder: Path, settings: Settings, cache: Path, data: Sequence[str], teacher: Path) -> None:
    """Write the chosen rows as text and as token ids."""
    config = configure(cache, *data)
    examples = read_examples(config.data, instantiate(config.data.task), Path(config.cache_dir))
    tokenizer = AutoTokenizer.from_pretrained(teacher)
    counts = {"train": settings.rows, "validation": settings.validation_rows, "test": settings.test_rows}
    for split, count in counts.items():
        rows: Dataset = getattr(examples, split)
        chosen = np.random.default_rng(settings.seed).permutation(len(rows))[:count]
        rows = rows.select(np.sort(chosen))
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([row["text"], examples.labels[row["label"]]] for row in rows)
        ids = tokenizer(rows["text"][:], truncation=True, max_length=settings.max_length)["input_ids"]
        encoded = [
            {"input_ids": row, "attention_mask": [1] * len(row), "labels": label}
            for row, label in zip(ids, rows["label"], strict=True)
        ]
        (folder / f"{split}.json").write_text(json.dumps(encoded))


def make_students(folder: Path, place: Path, settings: Settings, cache: Path) -> None:
    """Save what Potstill would begin with, which layers it would compare, and the teacher's test logits."""
    pairs: dict[str, Any] = {}
    for student, chosen in STUDENTS.items():
        if place.name == "large":  # whose students are those of the small teacher
            chosen = chosen + AS_FOR_MINILM[student]
        config = configure(
            cache,
            "data=files",
            *(f"data.{split}={folder.resolve()}/{split}.csv" for split in ("train", "validation", "test")),
            "teacher=local",
            f"teacher.path={(place / 'teacher').resolve()}",
            f"student={student}",
            *chosen,
            f"seed={settings.seed}",
            f"data.max_length={settings.max_length}",
        )
        plan = make_plan(config)
        assembly = Assembly(config, plan, cache, [])
        teacher = assembly.teachers()[0][TEACHER]
        assembly._network(STUDENT, teacher).save(place / student)
        mine, theirs = plan.drafts[STUDENT].spec, plan.pairs[0].teacher_spec
        assert theirs is not None
        compared = layers(mine.layers, theirs.layers)
        pairs[student] = {
            "hidden": compared,
            "attention": compared if mine.heads else [],
            "learning_rate": config.student.learning_rate,
            "overrides": chosen,
        }
    logits = test_logits(teacher, json.loads((folder / "test.json").read_text()))
    (place / "test_logits.json").write_text(json.dumps(logits))
    (place / "pairs.json").write_text(json.dumps(pairs))


@torch.no_grad()
def test_logits(teacher: Network, rows: Sequence[Row]) -> list[list[float]]:
    """The teacher's logits of the rows."""
    logits: list[list[float]] = []
    for start in range(0, len(rows), 128):
        batch = collate(rows[start : start + 128], teacher.tokenizer.pad_token_id)
        logits += teacher.model.eval()(batch["input_ids"], batch["attention_mask"]).logits.tolist()
    return logits
