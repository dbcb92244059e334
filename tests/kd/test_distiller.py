"""The LightningModule's own part: the sum of the losses, groups of weights, what is recorded and what is saved."""

import csv
from pathlib import Path

import pytest
import torch

from kd.assembly import Assembly
from kd.distiller import Distiller
from kd.moment import Moment
from kd.plan import make_plan
from models.output import LAYERWISE, LOGITS, Field
from potstill.errors import UserError
from train import run


@pytest.fixture
def distiller_of(configure, tmp_path, monkeypatch):
    """The distiller of a small run and its batches, as the fit would get them."""

    def distiller_of(*more):
        config = configure("logger=[]", *more)
        assembly = Assembly(config, make_plan(config), Path(tmp_path), [])
        caught = {}

        def catch(self, distiller, batches, *args, **kwargs):
            caught.update(distiller=distiller, batches=batches)

        monkeypatch.setattr(Assembly, "_fit", catch)
        teachers, _ = assembly.teachers()
        assembly.distil(teachers)
        return caught["distiller"], caught["batches"]

    return distiller_of


def recording_layers(network):
    """The layers of a BERT that hand out their attention."""
    return [
        number
        for number, layer in enumerate(network.model.bert.encoder.layer, start=1)
        if layer.attention.self.records_attention
    ]


def test_only_what_terms_read_is_recorded(distiller_of):
    fields = distiller_of("kd=response")[0].fields
    assert fields == {"student": {LOGITS}, "teacher": {LOGITS}}
    fields = distiller_of("kd=relation", "student=bilstm")[0].fields
    assert fields == {"student": {Field("mean_states", 1)}, "teacher": {Field("mean_states", 4)}}
    assert distiller_of("kd=none")[0].fields == {}
    distiller, _ = distiller_of("kd=feature", "student=bert_small")
    assert distiller.fields["student"] == fields_of(1, 2)
    assert distiller.fields["teacher"] == fields_of(2, 4)
    assert distiller.networks["student"].model.config._attn_implementation == "recording"
    distiller, _ = distiller_of("kd=response", "student=bert_small")
    assert distiller.networks["student"].model.config._attn_implementation == "sdpa"


def fields_of(*layers):
    return {Field(name, layer) for name in ("hidden_states", "attention_scores") for layer in layers}


def test_each_network_records_the_layers_that_are_read_of_it(distiller_of):
    distiller, _ = distiller_of("kd=feature", "student=bert_small")
    assert recording_layers(distiller.networks["student"]) == [1, 2]
    assert recording_layers(distiller.signals["teacher"].live.network) == [2, 4]


def test_exits_have_their_fields_from_the_student(distiller_of):
    distiller, _ = distiller_of("kd=hidden_states", "scheme=self", "student=bert_small")
    assert distiller.fields == {"student": {Field("hidden_states", layer) for layer in (1, 2)}}


def test_a_networks_output_has_its_fields_and_no_others(distiller_of):
    distiller, batches = distiller_of("kd=feature", "student=bert_small")
    run = distiller.step_of(next(iter(batches.train_dataloader())), Moment()).run
    for name in ("student", "teacher"):
        output = run(name)
        found = {Field(part, layer) for part in LAYERWISE for layer in getattr(output, part)}
        assert found == distiller.fields[name]


def test_the_teacher_is_in_no_checkpoint_and_no_optimizer(distiller_of):
    distiller, _ = distiller_of("student=bert_small")
    teacher = {id(parameter) for parameter in distiller.signals["teacher"].live.parameters()}
    assert teacher
    assert not teacher & {id(parameter) for parameter in distiller.parameters()}
    assert all(name.startswith("networks.student.") for name in distiller.state_dict())


def test_the_loss_is_the_sum_of_its_named_parts(distiller_of, monkeypatch):
    distiller, batches = distiller_of("kd=[response,relation]", "student=bilstm")
    logged = {}
    monkeypatch.setattr(Distiller, "moment", lambda self: Moment())
    monkeypatch.setattr(Distiller, "logs_this_step", lambda self: True)
    monkeypatch.setattr(Distiller, "log", lambda self, name, value, **_: logged.update({name: value}))
    monkeypatch.setattr(Distiller, "log_dict", lambda self, values: logged.update(values))
    total = distiller.training_step(next(iter(batches.train_dataloader())), 0)
    parts = [value for name, value in logged.items() if name != "train/loss"]
    assert set(logged) == {
        "train/loss",
        "train/label_loss/student",
        *(f"train/kd/{term}/student<-teacher" for term in ("response", "distance", "angle", "similarity")),
    }
    assert total.item() == pytest.approx(sum(part.item() for part in parts), rel=1e-5)


def test_vectors_do_not_decay_and_projections_train(distiller_of):
    distiller, _ = distiller_of("kd=feature", "student=bilstm")
    groups = distiller._groups()
    held = [parameter for group in groups for parameter in group["params"]]
    assert {id(parameter) for parameter in held} == {id(parameter) for parameter in distiller.parameters()}
    assert len(held) == len(list(distiller.parameters()))
    for group in groups:
        assert {parameter.ndim > 1 for parameter in group["params"]} == {"weight_decay" not in group}


def test_a_peer_of_another_kind_has_its_own_learning_rate(distiller_of):
    distiller, _ = distiller_of("scheme=mutual", "student=bert_small", "+student@scheme.peers.second=bilstm")
    peer = {id(parameter) for parameter in distiller.networks["second"].parameters()}
    rates = {group.get("lr") for group in distiller._groups() if id(group["params"][0]) in peer}
    assert rates == {1e-3}


@pytest.mark.parametrize("student", ["bert_small", "bilstm", "cnn_lstm"])
def test_copies_of_a_student_start_apart(student, distiller_of):
    distiller, _ = distiller_of("scheme=mutual", f"student={student}")
    one, other = (distiller.networks[name].model.classifier.state_dict() for name in ("student", "peer"))
    assert not any(one[name].equal(other[name]) for name in one if name.endswith("weight"))


def test_a_mismatch_shows_on_the_first_batch_and_moves_nothing(distiller_of):
    distiller, batches = distiller_of("kd=[response,feature]", "student=bilstm")
    batch = next(iter(batches.train_dataloader()))
    before = {name: weight.clone() for name, weight in distiller.state_dict().items()}
    distiller.dry_run(batch)
    assert all(weight.equal(before[name]) for name, weight in distiller.state_dict().items())
    pair = next(iter(distiller.objective.terms))
    distiller.objective.terms[pair]["hidden_states"].projections.maps["1"] = torch.nn.Linear(256, 7)
    with pytest.raises(UserError, match=r"the first batch does not go through: .*7.*32"):
        distiller.dry_run(batch)


def test_dropout_follows_from_seed_epoch_and_batch_alone(distiller_of, monkeypatch):
    distiller, _ = distiller_of("student=bilstm")
    monkeypatch.setattr(Distiller, "current_epoch", 1)
    monkeypatch.setattr(Distiller, "global_rank", 0)
    monkeypatch.setattr(Distiller, "moment", lambda self: Moment())

    def drawn(batch_idx):
        torch.rand(batch_idx + 3)  # whatever was drawn before
        distiller.on_train_batch_start({}, batch_idx)
        return torch.rand(4).tolist()

    assert drawn(5) == drawn(5)
    assert drawn(5) != drawn(6)


def test_the_seconds_of_training_are_logged_with_every_epoch(configure, tmp_path):
    config = configure("student=bilstm", "trainer.max_epochs=3", "baseline=false")
    run(config, [])
    with (Path(config.run_dir) / "metrics.csv").open(newline="") as file:
        seconds = [float(row["train/seconds"]) for row in csv.DictReader(file) if row["train/seconds"]]
    assert len(seconds) == 3
    assert 0 < seconds[0] < seconds[1] < seconds[2]
