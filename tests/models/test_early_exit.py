import pytest
import torch

from kd.plan import make_plan
from models.early_exit import cut, load_exits
from models.network import parameter_count


@pytest.fixture(params=["bert_small", "bilstm", "cnn_lstm"])
def network(request, configure):
    """A student of three layers with an exit after each of the first two."""
    draft = make_plan(configure(f"student={request.param}", "student.num_hidden_layers=3", "kd=none")).drafts["student"]
    torch.manual_seed(0)
    network = (draft.network(draft.teacher.network())).eval()
    network.add_exits((1, 2))
    return network.eval()


@pytest.fixture
def encodings(network):
    texts = ["a dull film", "its story is moving , its makers are not and so on", "superb"]
    return {network.spec.tokenizer: dict(network.tokenizer(texts, padding=True, return_tensors="pt"))}


def test_a_cut_network_says_what_its_exit_said(network, encodings):
    exits = network(encodings).exits
    for number, layer in enumerate((1, 2)):
        shorter = cut(network, number)
        torch.testing.assert_close(shorter(encodings).logits, exits[number])
        assert shorter.spec.layers == layer


def test_it_has_fewer_weights(network):
    sizes = [parameter_count(cut(network, number).model) for number in (0, 1)]
    assert sizes[0] < sizes[1] < parameter_count(network.model) + parameter_count(network.exits)


def test_exits_come_back_from_a_folder(network, encodings, tmp_path):
    exits = network(encodings).exits
    network.save(tmp_path)
    loaded = load_exits(tmp_path)
    assert list(loaded) == ["exit1", "exit2"]
    for logits, shorter in zip(exits, loaded.values(), strict=True):
        torch.testing.assert_close(shorter(encodings).logits, logits)


def test_a_student_without_exits_has_none(network, tmp_path):
    network.exits = None
    network.save(tmp_path)
    assert load_exits(tmp_path) == {}
