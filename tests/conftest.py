"""Small real things to test with: a data set that can be learnt, a tiny BERT, and composed configs."""

import csv
import logging
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from transformers import BertConfig, BertForSequenceClassification, BertModel

import train
from models.exits import mean_of_real
from models.heads import ONE_CLASS
from models.output import ATTENTION, STATES, ModelOutput, Spec
from models.words import word_tokenizer

ROOT = Path(__file__).parent.parent
GOOD = ["wonderful", "moving", "brilliant", "charming", "delightful", "superb", "honest", "funny"]
BAD = ["dull", "awful", "boring", "clumsy", "tedious", "shallow", "lifeless", "bland"]
THINGS = [
    "film",
    "story",
    "plot",
    "acting",
    "cast",
    "ending",
    "music",
    "camera",
    "script",
    "comedy",
    "thriller",
    "drama",
    "remake",
    "sequel",
]
FRAMES = [
    "a {1} {0}",
    "the {0} is {1} from start to end",
    "what a {1} and {2} {0}",
    "its {0} is {1} , its makers are not",
    "{1} , {2} and much too long a {0}",
    "one of the most {1} of this year : {0}",
]
LABELS = ("bad", "good")

torch.set_num_threads(1)
train.quiet()


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Distinct (text, label) rows; the label follows from the words."""
    draw = random.Random(seed)
    rows: dict[str, str] = {}
    while len(rows) < count:
        label, words = draw.choice([("good", GOOD), ("bad", BAD)])
        text = draw.choice(FRAMES).format(draw.choice(THINGS), *draw.sample(words, 2))
        rows.setdefault(text, label)
    return list(rows.items())


def write_csv(path: Path, rows: list[tuple[str, ...]], header: tuple[str, ...]) -> Path:
    """A csv file with these rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Hydra's log handlers write to a stream that is closed when a test ends."""
    before = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = before


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `train.csv` (96 rows), `validation.csv`, `test.csv` and `unlabelled.csv` (48 each)."""
    path = tmp_path_factory.mktemp("sentences")
    rows = sentences(240, seed=0)
    header = ("sentence", "label")
    write_csv(path / "train.csv", rows[:96], header)
    write_csv(path / "validation.csv", rows[96:144], header)
    write_csv(path / "test.csv", rows[144:192], header)
    write_csv(path / "unlabelled.csv", [row[:1] for row in rows[192:]], header[:1])
    return path


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny BERT without classifier: 4 layers, width 32, 2 heads, words of the sentences."""
    path = tmp_path_factory.mktemp("pretrained")
    tokenizer = word_tokenizer((text for text, _ in sentences(240, seed=0)), 500)
    torch.manual_seed(0)
    BertModel(_tiny(len(tokenizer))).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def fine_tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `pretrained`, with a trained classifier whose classes are `bad` and `good`."""
    path = tmp_path_factory.mktemp("fine_tuned")
    rows = sentences(240, seed=0)
    tokenizer = word_tokenizer((text for text, _ in rows), 500)
    config = _tiny(len(tokenizer), id2label=dict(enumerate(LABELS)), label2id={"bad": 0, "good": 1})
    torch.manual_seed(0)
    model = BertForSequenceClassification(config)
    batch = tokenizer([text for text, _ in rows[:96]], padding=True, return_tensors="pt")
    labels = torch.tensor([LABELS.index(label) for _, label in rows[:96]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def other_fine_tuned(fine_tuned: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `fine_tuned`, with weights a little different."""
    path = tmp_path_factory.mktemp("other_fine_tuned")
    shutil.copytree(fine_tuned, path, dirs_exist_ok=True)
    model = BertForSequenceClassification.from_pretrained(fine_tuned)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))
    model.save_pretrained(path)
    return path


def _tiny(words: int, **more: object) -> BertConfig:
    return BertConfig(
        vocab_size=words,
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        **more,
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for the whole session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def small(folder: Path, fine_tuned: Path, cache: Path) -> list[str]:
    """What makes a run small: the sentences, the tiny fine-tuned teacher, few small batches."""
    return [
        "data=files",
        f"data.train={folder}/train.csv",
        f"data.validation={folder}/validation.csv",
        f"data.test={folder}/test.csv",
        f"data.unlabelled={folder}/unlabelled.csv",
        "data.text=sentence",
        "data.batch_size=16",
        "data.max_length=64",
        "teacher=local",
        f"teacher.path={fine_tuned}",
        "trainer.max_epochs=2",
        "trainer.enable_progress_bar=false",
        "trainer.accelerator=cpu",
        f"cache_dir={cache}",
    ]


@pytest.fixture
def overrides(small: list[str], tmp_path: Path) -> list[str]:
    """A small run in a folder of its own."""
    return [*small, f"run_dir={tmp_path / 'run'}"]


@pytest.fixture
def configure(overrides: list[str]) -> Callable[..., DictConfig]:
    """Composes the small run's config with more overrides."""

    def configure(*more: str) -> DictConfig:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("train", overrides=[*overrides, *more])

    return configure


@pytest.fixture(scope="session")
def heed_interrupts() -> Callable[[], None]:
    """For a process that is to be interrupted: in the background of a shell it would start deaf."""

    def heed_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return heed_interrupts


@pytest.fixture(scope="session")
def in_words() -> Callable[..., dict[str, Any]]:
    """A batch that tells the word of each token, by tokenizer."""

    def in_words(count: int, **words: list[list[int]]) -> dict[str, Any]:
        encodings = {name: {"words": torch.tensor(some), "word_count": count} for name, some in words.items()}
        return {"encodings": encodings}

    return in_words


EVERYTHING = frozenset({"logits"}) | STATES | ATTENTION


@pytest.fixture(scope="session")
def make_spec() -> Callable[..., Spec]:
    """Specs of models that need not exist."""

    def make_spec(
        widths: tuple[int, ...] = (8, 8, 8),
        heads: int | None = 2,
        classes: int = 3,
        tokenizer: str = "a",
        provides: frozenset[str] = EVERYTHING,
        kind: str = "bert",
        problem: str = ONE_CLASS,
    ) -> Spec:
        return Spec(kind, tuple(widths), heads, 0, classes, tokenizer, tokenizer, provides, problem)

    return make_spec


@pytest.fixture(scope="session")
def make_output() -> Callable[..., ModelOutput]:
    """Random outputs as a spec promises, with `lengths` real tokens in each row."""

    def make_output(
        of: Spec, rows: int = 4, tokens: int = 5, seed: int = 0, lengths: list[int] | None = None
    ) -> ModelOutput:
        draw = torch.Generator().manual_seed(seed)

        def tensor(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=draw)

        heads, layers = of.heads or 1, range(1, of.layers + 1)
        hidden = {layer: tensor(rows, tokens, width) for layer, width in enumerate(of.widths)}
        mask = torch.arange(tokens) < torch.tensor(lengths or [tokens] * rows)[:, None]
        return ModelOutput(
            tensor(rows, of.classes),
            mask,
            hidden_states=hidden,
            mean_states={layer: mean_of_real(states, mask) for layer, states in hidden.items()},
            cls_states={layer: states[:, 0] for layer, states in hidden.items()},
            attention_scores={layer: tensor(rows, heads, tokens, tokens) for layer in layers},
            **{
                name: {layer: tensor(rows, heads, tokens, 4) for layer in layers}
                for name in ("queries", "keys", "values")
            },
        )

    return make_output
