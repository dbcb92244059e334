import csv
import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from kd.distiller import Distiller
from kd.rates import Rates
from train import run

SCHEDULE = "{_target_: kd.schedule.Linear, start: 4, end: 1, by: step}"


def rows_of(config, *names):
    """The rows of metrics.csv that hold all of these."""
    with (Path(config.run_dir) / "metrics.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if all(row.get(name) for name in names)]


def test_rates_stand_in_the_rows_of_the_losses(configure):
    config = configure(
        *("student=bilstm", "baseline=false", "kd=[response,hidden_states]", "trainer.log_every_n_steps=3"),
        *("optimizer.schedule=linear", "optimizer.warmup=0", f"kd.terms.response.temperature={SCHEDULE}"),
    )
    run(config, [])
    speeds = ("train/examples_per_second", "train/tokens_per_second")
    rows = rows_of(config, "train/loss", *speeds)
    assert [row["step"] for row in rows] == ["2", "5", "8", "11", "14", "17"]
    highest = config.student.learning_rate
    for row in rows:
        left = 1 - int(row["step"]) / 18
        assert float(row["train/learning_rate/student"]) == pytest.approx(highest * left)
        assert row["train/learning_rate/projections"] == row["train/learning_rate/student"]
        assert float(row["train/temperature/response"]) == pytest.approx(4 - 3 * int(row["step"]) / 17)
        assert float(row[speeds[1]]) > 3 * float(row[speeds[0]]) > 0
    assert not any(name.startswith("train/weight/") for name in rows[0])


def test_examples_and_tokens_are_those_since_the_last_logged_step(configure, monkeypatch):
    """A batch takes a second, a validation a hundred, which must not count; neither must padding."""
    clock = SimpleNamespace(now=0)
    monkeypatch.setattr("kd.rates.time", SimpleNamespace(monotonic=lambda: clock.now))
    take, validate, tokens = Rates.on_train_batch_end, Distiller.validation_step, []

    def train_on(self, trainer, module, outputs, batch, batch_idx):
        (encoding,) = batch["encodings"].values()
        tokens.append(int((encoding["input_ids"] != 0).sum()))
        clock.now += 1
        take(self, trainer, module, outputs, batch, batch_idx)

    def validate_on(self, *arguments):
        clock.now += 100
        validate(self, *arguments)

    monkeypatch.setattr(Rates, "on_train_batch_end", train_on)
    monkeypatch.setattr(Distiller, "validation_step", validate_on)
    config = configure("student=bilstm", "baseline=false", "trainer.log_every_n_steps=6")
    run(config, [])
    rows = rows_of(config, "train/tokens_per_second")
    assert [float(row["train/examples_per_second"]) for row in rows] == [16, 16, 16]
    found = [float(row["train/tokens_per_second"]) for row in rows]
    assert found == pytest.approx([sum(tokens[start : start + 6]) / 6 for start in (0, 6, 12)])


def test_nothing_is_gathered_where_nothing_is_logged(configure, monkeypatch):
    monkeypatch.setattr(Rates, "on_train_start", lambda *_: pytest.fail("gathers"))
    run(configure("student=bilstm", "baseline=false", "logger=[]", "trainer.max_epochs=1"), [])


def test_the_share_of_a_scheme_is_logged_where_it_moves(configure):
    config = configure("student=bilstm", "baseline=false", "scheme=mean_teacher", "trainer.log_every_n_steps=3")
    run(config, [])
    shares = [float(row["train/weight/scheme"]) for row in rows_of(config, "train/loss")]
    ramp = [math.exp(-5 * (1 - min(update / 4.5, 1)) ** 2) for update in range(2, 18, 3)]  # over a quarter of 18
    assert shares == pytest.approx(ramp)
