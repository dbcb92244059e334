import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, BertTokenizer

from data.tokenization import TrainingTexts
from models.cnn_lstm import CNNLSTM, spelling

TEXTS = ["a good film", "größer und internationalization"]
CORPUS = TrainingTexts(Dataset.from_dict({"text": TEXTS}), 64)
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film", "##film", "ĠKino", "▁kino", "größe", "##"]


def spelt(word, word_length=12):
    tokenizer = BertTokenizer(vocab={entry: number for number, entry in enumerate(VOCABULARY)})
    return bytes(spelling(tokenizer, word_length)[VOCABULARY.index(word)].tolist())


@pytest.fixture
def student():
    blueprint = CNNLSTM(
        hidden_size=4,
        vocabulary="words",
        embeddings="random",
        embedding_size=5,
        character_size=3,
        character_filters=7,
        word_length=8,
    )
    return blueprint.draft(("bad", "good"), None, CORPUS).network().eval()


def test_a_word_is_spelt_by_its_bytes():
    assert spelt("film") == b"film" + bytes(8)


@pytest.mark.parametrize(("entry", "word"), [("##film", b"film"), ("ĠKino", b"Kino"), ("▁kino", b"kino"), ("##", b"")])
def test_the_mark_of_a_piece_is_no_part_of_its_spelling(entry, word):
    assert spelt(entry).rstrip(b"\0") == word


@pytest.mark.parametrize("entry", VOCABULARY[:5])
def test_special_tokens_have_no_spelling(entry):
    assert spelt(entry) == bytes(12)


@pytest.mark.parametrize("length", [3, 4, 5])
def test_a_long_word_is_cut_by_bytes_even_inside_a_letter(length):
    assert spelt("größe", length) == "größe".encode()[:length]


def test_the_students_spelling_is_that_of_its_tokenizer(student):
    vocabulary = student.tokenizer.get_vocab()
    table = student.model.encoder.embeddings.spelling
    assert table.shape == (len(vocabulary), 8)
    assert bytes(table[vocabulary["internationalization"]].tolist()) == b"internat"


def test_words_with_the_same_vector_are_told_apart_by_their_letters(student):
    embeddings = student.model.encoder.embeddings
    with torch.no_grad():
        embeddings.words.weight.zero_()
    film, good = (student.tokenizer.get_vocab()[word] for word in ("film", "good"))
    one, other = embeddings(torch.tensor([[film, good]]))[0]
    assert not torch.equal(one, other)


def test_word_and_character_features_stand_side_by_side(student):
    ids = torch.tensor([[5, 6, 7]])
    embedded = student.model.encoder.embeddings(ids)
    assert embedded.shape == (1, 3, 12)
    assert torch.equal(embedded[..., :5], student.model.get_input_embeddings()(ids))
    assert embedded[..., 5:].min() >= 0


def test_character_features_are_the_greatest_responses_of_the_convolution(student):
    embeddings = student.model.encoder.embeddings
    number = student.tokenizer.get_vocab()["film"]
    letters = embeddings.characters(embeddings.spelling[number].long())
    weight, bias = embeddings.convolution.weight, embeddings.convolution.bias
    padded = torch.cat([torch.zeros(1, 3), letters, torch.zeros(1, 3)])
    responses = [torch.einsum("fck,kc->f", weight, padded[start : start + 3]) + bias for start in range(8)]
    expected = torch.stack(responses).relu().amax(0)
    torch.testing.assert_close(embeddings(torch.tensor([[number]]))[0, 0, 5:], expected)


def test_it_comes_back_from_its_folder_with_its_spelling(student, tmp_path):
    student.save(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    batch = student.tokenizer(TEXTS, padding=True, return_tensors="pt")
    assert torch.equal(model(**batch).logits, student({student.spec.tokenizer: batch}).logits)
    assert torch.equal(model.encoder.embeddings.spelling, student.model.encoder.embeddings.spelling)


def test_training_leaves_the_spelling_alone(student):
    assert "encoder.embeddings.spelling" not in dict(student.model.named_parameters())
