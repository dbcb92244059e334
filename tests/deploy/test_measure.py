import pytest
import torch

from deploy.measure import latencies, predict, size
from models.bilstm import BiLSTM
from models.sources import Folder
from models.transformer import Pretrained

TEXTS = ["a wonderful film", "its plot is dull and boring", "a", "the acting is superb"]
LABELS = ("bad", "good")


@pytest.fixture
def network(fine_tuned):
    return Pretrained(Folder(str(fine_tuned))).draft(LABELS).network()


@pytest.fixture
def student(fine_tuned):
    """Reads the same encoding as `network`."""
    teacher = Pretrained(Folder(str(fine_tuned))).draft(LABELS)
    blueprint = BiLSTM(hidden_size=4, vocabulary="teacher", embeddings="random", embedding_size=4)
    return blueprint.draft(LABELS, teacher).network()


def encode(network, texts):
    return {network.spec.tokenizer: network.tokenizer(texts, padding=True, return_tensors="pt")}


def batches(network, texts=TEXTS, labels=(1, 0, 0, 1), each=2):
    for start in range(0, len(texts), each):
        rows = slice(start, start + each)
        yield {"encodings": encode(network, texts[rows]), "labels": torch.tensor(labels[rows])}


def test_predictions_come_in_the_order_of_the_rows(network):
    said = list(predict(network, batches(network)))
    logits, labels = torch.cat([some for some, _ in said]), torch.cat([batch["labels"] for _, batch in said])
    assert logits.shape == (4, 2)
    assert labels.tolist() == [1, 0, 0, 1]
    alone = [next(predict(network, batches(network, [text], [0])))[0][0] for text in TEXTS]
    torch.testing.assert_close(logits, torch.stack(alone), atol=1e-5, rtol=1e-4)


def test_predicting_is_free_of_dropout_and_gradients(network):
    network.train()
    (one, _), (other, _) = (next(predict(network, batches(network))) for _ in range(2))
    assert torch.equal(one, other)
    assert not one.requires_grad


def test_logits_come_in_float32(network):
    assert next(predict(network.bfloat16(), batches(network)))[0].dtype == torch.float32


def test_megabytes_are_those_of_the_saved_weights(network, student, tmp_path):
    for name, model in (("network", network), ("student", student)):
        model.save(tmp_path / name)
        on_disk = (tmp_path / name / "model.safetensors").stat().st_size / 1e6
        assert size(model)["megabytes"] == pytest.approx(on_disk, abs=0.02)


def test_exits_count_neither_as_parameters_nor_as_megabytes(network):
    before = size(network)
    network.add_exits((1, 2))
    assert size(network) == before
    assert before["parameters"] == network.spec.parameters


def test_half_the_precision_is_half_the_size(network):
    whole = size(network)
    half = size(network.bfloat16())
    assert half == {"parameters": whole["parameters"], "megabytes": pytest.approx(whole["megabytes"] / 2)}


def test_every_network_has_its_latency(network, student):
    times = latencies({"teacher": network, "student": student}, encode(network, TEXTS), repeats=3)
    assert set(times) == {"teacher", "student"}
    assert all(0 < milliseconds < 10_000 for milliseconds in times.values())


def test_more_work_takes_longer(network):
    network.eval()
    few, many = (
        latencies({"it": network}, encode(network, ["a wonderful film " * 8] * rows), repeats=5)["it"]
        for rows in (1, 256)
    )
    assert many > 2 * few


def test_networks_take_turns_and_the_first_turns_do_not_count(network, student):
    calls = []
    for name, model in (("network", network), ("student", student)):
        model.register_forward_hook(lambda *_, name=name: calls.append(name))
    latencies({"network": network, "student": student}, encode(network, TEXTS), repeats=2)
    assert calls == ["network", "student"] * 5
