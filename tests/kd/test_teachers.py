import json
from pathlib import Path

import pytest
import torch
from transformers import BertConfig

from kd.teachers import FineTuning, check_labels, fine_tuned
from models.sources import Folder
from models.transformer import Pretrained
from potstill.errors import UserError

SETTINGS = FineTuning(epochs=1, learning_rate=1e-3, batch_size=8, seed=1)


@pytest.fixture
def draft(pretrained):
    return Pretrained(Folder(str(pretrained))).draft(("bad", "good"))


class Training:
    """Counts how often it is asked to train, and moves a weight."""

    def __init__(self):
        self.count = 0

    def __call__(self, network, folder: Path) -> float:
        self.count += 1
        with torch.no_grad():
            network.model.classifier.bias += 1
        return 2.5


def test_a_teacher_is_paid_for_once(draft, tmp_path):
    train = Training()
    first, seconds = fine_tuned(draft, "data", SETTINGS, tmp_path, train, tmp_path / "run")
    again, nothing = fine_tuned(draft, "data", SETTINGS, tmp_path, train, tmp_path / "run")
    assert (train.count, seconds, nothing) == (1, 2.5, 0.0)
    states = zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(one.equal(other) for one, other in states)
    (folder,) = (path for path in (tmp_path / "teachers").iterdir() if path.is_dir())
    assert json.loads((folder / "about.json").read_text())["seconds"] == 2.5


@pytest.mark.parametrize(
    ("key", "settings"),
    [("other data", SETTINGS), ("data", FineTuning(2, 1e-3, 8, 1)), ("data", FineTuning(1, 1e-3, 8, 2))],
)
def test_other_data_or_settings_make_another_teacher(draft, tmp_path, key, settings):
    train = Training()
    fine_tuned(draft, "data", SETTINGS, tmp_path, train, tmp_path / "run")
    fine_tuned(draft, key, settings, tmp_path, train, tmp_path / "run")
    assert train.count == 2


def test_what_was_interrupted_is_not_taken_for_a_teacher(draft, tmp_path):
    def interrupted(network, folder):
        folder.mkdir(parents=True)
        (folder / "last.ckpt").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tuned(draft, "data", SETTINGS, tmp_path, interrupted, tmp_path / "run")
    train = Training()
    fine_tuned(draft, "data", SETTINGS, tmp_path, train, tmp_path / "run")
    assert train.count == 1


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("bad", "good", "fair"), "3 classes"),
        (("good", "bad"), r"data.labels=\[good,bad\]"),
        (("cold", "hot"), "its classes are cold, hot"),
    ],
)
def test_a_checkpoint_with_other_classes_is_refused(names, reason):
    with pytest.raises(UserError, match=reason):
        check_labels(BertConfig(id2label=dict(enumerate(names))), ("bad", "good"))


def test_made_up_names_say_nothing():
    check_labels(BertConfig(num_labels=2), ("bad", "good"))
