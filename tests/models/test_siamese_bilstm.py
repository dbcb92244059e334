import pytest
import torch
from datasets import Dataset

from data.tokenization import TrainingTexts
from models.siamese_bilstm import SiameseBiLSTM, texts_of
from potstill.errors import UserError

PAIRS = {"text": ["a good film", "so bad"], "text_pair": ["it is good", "one sees it again and again"]}
CORPUS = TrainingTexts(Dataset.from_dict(PAIRS), 64)


@pytest.fixture
def student():
    torch.manual_seed(0)
    sizes = {"hidden_size": 6, "num_hidden_layers": 2, "classifier_size": 7, "embedding_size": 5}
    blueprint = SiameseBiLSTM(**sizes, vocabulary="words", embeddings="random")
    return blueprint.draft(("same", "other"), None, CORPUS).network().eval()


def states_of(student, *texts, padding=False):
    batch = student.tokenizer(*texts, padding=padding, return_tensors="pt")
    return batch, student.model.encoder(**batch, output_hidden_states=True).hidden_states


def test_the_first_text_ends_with_the_token_between_both():
    ids = torch.tensor([[2, 7, 3, 8, 9, 3, 0], [2, 3, 8, 3, 0, 0, 0], [2, 7, 7, 3, 0, 0, 0]])
    first, second = texts_of(ids, (ids > 0).long(), 3)
    assert first.long().tolist() == [[1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0]]
    assert second.long().tolist() == [[0, 0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0, 0], [0] * 7]


def test_neither_text_sees_the_other(student):
    """Nor does the second one's place, or padding, matter."""
    _, alone = states_of(student, ["a good film"], ["it"])
    batch, both = states_of(student, ["a good film", "so"], ["it is good", "it is good"], padding=True)
    length = len(student.tokenizer("a good film")["input_ids"])
    torch.testing.assert_close(both[-1][0, :length], alone[-1][0, :length])
    first, second = texts_of(batch["input_ids"], batch["attention_mask"], student.tokenizer.sep_token_id)
    torch.testing.assert_close(both[-1][0, second[0]], both[-1][1, second[1]])
    assert both[-1][~(first | second)].eq(0).all()
    assert both[-1][first | second].ne(0).all()


def test_the_classifier_reads_both_texts_their_distance_and_their_product(student):
    batch, states = states_of(student, ["a good film", "so bad"], ["it is good", "again"], padding=True)
    first, second = texts_of(batch["input_ids"], batch["attention_mask"], student.tokenizer.sep_token_id)
    features = []
    for row in range(2):
        one, other = (states[-1][row, text[row]].amax(0) for text in (first, second))
        features.append(torch.cat([one, other, (one - other).abs(), one * other]))
    torch.testing.assert_close(student.model(**batch).logits, student.model.classifier(torch.stack(features)))


def test_a_text_alone_is_finite(student):
    assert student.model(**student.tokenizer("so bad", return_tensors="pt")).logits.isfinite().all()


def test_it_comes_back_from_its_folder(student, comes_back):
    comes_back(student, PAIRS["text"], PAIRS["text_pair"])


def test_pairs_are_needed():
    with pytest.raises(UserError, match="it compares two texts; name two columns"):
        SiameseBiLSTM(vocabulary="words").draft(("a", "b"), None, TrainingTexts(Dataset.from_dict({"text": ["a"]}), 9))
