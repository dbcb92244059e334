import pytest
import torch
from datasets import Dataset

from data.tokenization import TrainingTexts
from models.attentive_bilstm import AttentiveBiLSTM, looked_at
from potstill.errors import UserError

TEXTS, SECOND = ["a good film", "so bad"], ["it is good", "one sees it again and again"]
CORPUS = TrainingTexts(Dataset.from_dict({"text": TEXTS, "text_pair": SECOND}), 64)
SIZES = {"hidden_size": 6, "classifier_size": 7, "embedding_size": 5}


@pytest.fixture
def student():
    torch.manual_seed(0)
    blueprint = AttentiveBiLSTM(**SIZES, vocabulary="words", embeddings="random")
    return blueprint.draft(("same", "other"), None, CORPUS).network().eval()


def say(student, *texts):
    return student.model(**student.tokenizer(*texts, padding=True, return_tensors="pt")).logits


def test_words_look_at_the_other_text_and_at_their_own_where_there_is_no_other():
    states = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    first = torch.tensor([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]).bool()
    second = torch.tensor([[0, 0, 1, 1, 0], [0, 0, 0, 0, 0]]).bool()
    found = looked_at(states, first, second)
    for row, place, others in [(0, 1, [2, 3]), (0, 3, [0, 1]), (1, 2, [0, 1, 2])]:
        seen = states[row, others]
        weights = torch.tensor([(states[row, place] * other).sum() for other in seen]).exp()
        torch.testing.assert_close(found[row, place], (weights / weights.sum()) @ seen)
    assert found[0, 4].eq(0).all()
    assert found[1, 3:].eq(0).all()


def test_padding_and_other_rows_do_not_matter(student):
    together = say(student, TEXTS, SECOND)
    for row in range(2):
        torch.testing.assert_close(together[row : row + 1], say(student, TEXTS[row : row + 1], SECOND[row : row + 1]))


def test_a_text_alone_says_the_same_beside_a_pair(student):
    batch = student.tokenizer([TEXTS[0], (TEXTS[1], SECOND[1])][::-1], padding=True, return_tensors="pt")
    torch.testing.assert_close(student.model(**batch).logits[1:], say(student, TEXTS[:1]))


def test_either_text_matters(student):
    assert not torch.allclose(say(student, TEXTS[:1], SECOND[:1]), say(student, TEXTS[:1], SECOND[1:]))
    assert not torch.allclose(say(student, TEXTS[:1], SECOND[:1]), say(student, TEXTS[1:], SECOND[:1]))


def test_it_comes_back_from_its_folder(student, comes_back):
    comes_back(student, TEXTS, SECOND)


def test_one_layer_cannot_integrate_what_it_has_not_encoded():
    with pytest.raises(UserError, match="num_hidden_layers: two at least"):
        AttentiveBiLSTM(num_hidden_layers=1)
