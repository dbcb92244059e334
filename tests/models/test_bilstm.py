import pytest
import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from data.tokenization import TrainingTexts
from models.bilstm import BiLSTM, BiLSTMModel
from models.output import Field
from models.transformer import load
from potstill import fingerprint

TEXTS = ["a good film", "it is so bad that one sees it again"]
CORPUS = TrainingTexts(Dataset.from_dict({"text": TEXTS}), 64)


@pytest.fixture
def student():
    """A student with weights unlike any initial ones."""
    blueprint = BiLSTM(hidden_size=6, num_hidden_layers=2, vocabulary="words", embeddings="random", embedding_size=5)
    network = blueprint.draft(("bad", "good"), None, CORPUS).network()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_()
    return network.eval()


def test_it_comes_back_from_its_folder_through_the_auto_classes(student, tmp_path):
    student.save(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    batch = tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert torch.equal(model(**batch).logits, student({student.spec.tokenizer: batch}).logits)
    assert model.config.id2label == {0: "bad", 1: "good"}


def test_every_weight_comes_back(student, tmp_path):
    """Initial values must not be written over loaded ones."""
    student.save(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).state_dict()
    assert loaded.keys() == student.model.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in student.model.state_dict().items())


def test_sizes_come_back(student, tmp_path):
    student.save(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).widths == (5, 12, 12)


def test_its_tokenizer_comes_back(student, tmp_path):
    student.save(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert fingerprint.of_tokenizer(tokenizer) == student.spec.tokenizer
    assert tokenizer(TEXTS[0]) == student.tokenizer(TEXTS[0])


def test_a_loaded_network_has_the_same_spec(student, tmp_path):
    student.save(tmp_path)
    assert load(tmp_path).spec == student.spec


def test_its_body_alone_gives_hidden_states(student, tmp_path):
    student.save(tmp_path)
    body = AutoModel.from_pretrained(tmp_path).eval()
    assert isinstance(body, BiLSTMModel)
    batch = student.tokenizer(TEXTS, padding=True, return_tensors="pt")
    last = Field("hidden_states", student.spec.layers)
    expected = student({student.spec.tokenizer: batch}, frozenset({last}))[last]
    assert torch.equal(body(**batch).last_hidden_state, expected)
