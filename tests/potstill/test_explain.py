import sys

import pytest

import train


@pytest.fixture
def explained(monkeypatch, capsys, tmp_path):
    """The lines that `explain=true` prints, by key."""

    def explained(*overrides):
        arguments = ["train.py", "explain=true", f"hydra.run.dir={tmp_path}", *overrides]
        monkeypatch.setattr(sys, "argv", arguments)
        assert train.command_line() == 0
        return {line.split(": ")[0]: line for line in capsys.readouterr().out.splitlines() if ": " in line}

    return explained


def test_every_value_has_the_file_and_line_that_set_it(explained):
    lines = explained("kd=feature")
    assert lines["kd.terms.attention.optional"].split()[-1].startswith("conf/kd/feature.yaml:")
    assert lines["kd.terms.attention.weight"].split()[-1].startswith("conf/kd/attention.yaml:")
    assert lines["data.split.labelled_rows"].split()[-1].startswith("conf/data/rotten_tomatoes.yaml:")
    assert lines["data.batch_size"].split()[-1].startswith("conf/data/text.yaml:")
    assert all("conf/" in line or "command line" in line for line in lines.values())


def test_the_line_is_right(explained):
    place = explained()["optimizer.weight_decay"].split()[-1]
    name, line = place.split(":")
    text = (train.Path(train.__file__).parent / name).read_text().splitlines()[int(line) - 1]
    assert text.startswith("weight_decay:")


def test_what_the_command_line_set_says_so(explained):
    lines = explained("student=cnn_lstm", "optimizer.lr=0.5", "+trainer.max_time=1")
    assert lines["optimizer.lr"].endswith("command line: optimizer.lr=0.5")
    assert lines["trainer.max_time"].endswith("command line: +trainer.max_time=1")
    assert "conf/student/cnn_lstm.yaml" in lines["student.character_size"]
