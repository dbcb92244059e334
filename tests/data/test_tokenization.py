import pytest
from datasets import Dataset
from transformers import BertTokenizer

from data.tokenization import TrainingTexts, sample_lengths, tokenize
from models.words import SPECIAL, word_tokenizer

TEXTS = ["a good film", "good", "a film so good that one sees it again"]
IDS = [2**63 - 1, 7, 2**62]


@pytest.fixture
def words():
    return word_tokenizer(TEXTS, 50)


@pytest.fixture
def typed(words):
    """A tokenizer of the same words whose model reads token types."""
    return BertTokenizer(vocab=words.get_vocab(), model_max_length=512)


def rows(**more):
    return Dataset.from_dict({"id": IDS, "text": TEXTS, "label": [0, 1, -100], "group": list("abc"), **more})


def test_rows_keep_their_own_length(words):
    table = tokenize(rows(), words, 64)
    assert table["length"][:] == [5, 3, 11]
    assert list(map(len, table["input_ids"])) == [5, 3, 11]


def test_the_columns_are_those_the_model_reads_without_the_mask(words, typed):
    always = {"id", "label", "length"}
    assert set(tokenize(rows(), words, 64).column_names) == always | {"input_ids"}
    assert set(tokenize(rows(), typed, 64).column_names) == always | {"input_ids", "token_type_ids"}


def test_rows_keep_their_id_and_label(words):
    table = tokenize(rows(), words, 64)
    assert table["id"][:] == IDS
    assert table["label"][:] == [0, 1, -100]


def test_texts_come_back_from_their_ids(words):
    decoded = words.batch_decode(tokenize(rows(), words, 64)["input_ids"][:], skip_special_tokens=True)
    assert decoded == TEXTS


def test_a_pair_is_encoded_as_one_row_of_two_types(typed):
    table = tokenize(rows(text_pair=["film", "a film", "it"]), typed, 64)
    assert table["token_type_ids"][1] == [0, 0, 0, 1, 1, 1]
    assert typed.decode(table["input_ids"][1]) == "[CLS] good [SEP] a film [SEP]"


def test_texts_that_are_too_long_are_cut_and_counted(words, caplog):
    table = tokenize(rows(), words, 5)
    assert table["length"][:] == [5, 3, 5]
    assert table["input_ids"][2][-1] == words.sep_token_id
    assert caplog.messages == ["1 of 3 texts are longer than 5 tokens and are cut there (data.max_length), first row 3"]


def test_a_pair_loses_tokens_from_its_longer_text(typed, caplog):
    """So that a long text does not crowd out the short one beside it."""
    table = tokenize(rows(text_pair=["film", "a film", "it"]), typed, 8)
    assert typed.decode(table["input_ids"][2]) == "[CLS] a film so good [SEP] it [SEP]"
    assert "1 of 3 texts" in caplog.text


def test_nothing_is_said_where_nothing_is_cut(words, caplog):
    tokenize(rows(), words, 11)
    assert caplog.messages == []


def test_an_encoding_is_kept_on_disk_and_found_again(words, tmp_path):
    stored = rows()
    stored.save_to_disk(str(tmp_path / "rows"))
    first, second = (tokenize(Dataset.load_from_disk(str(tmp_path / "rows")), words, 64) for _ in range(2))
    assert first.cache_files == second.cache_files != []
    assert len(list((tmp_path / "rows").glob("cache-*.arrow"))) == 1


def test_another_length_or_tokenizer_makes_another_encoding(words, typed, tmp_path):
    stored = rows()
    stored.save_to_disk(str(tmp_path / "rows"))
    stored = Dataset.load_from_disk(str(tmp_path / "rows"))
    assert tokenize(stored, words, 4)["length"][:] == [4, 3, 4]
    assert tokenize(stored, words, 6)["length"][:] == [5, 3, 6]
    assert "token_type_ids" in tokenize(stored, typed, 6).column_names


@pytest.mark.parametrize("length", [64, 5])
def test_the_lengths_of_a_sample_are_those_of_its_rows(words, typed, length):
    assert sample_lengths(rows(), words, length).tolist() == tokenize(rows(), words, length)["length"][:]
    pairs = rows(text_pair=["film", "a film", "it"])
    assert sample_lengths(pairs, typed, length).tolist() == tokenize(pairs, typed, length)["length"][:]


def test_a_sample_is_spread_evenly_over_the_rows(words):
    many = Dataset.from_dict({"text": [" ".join(["good"] * number) for number in range(1, 102)]})
    assert sample_lengths(many, words, 200, count=5).tolist() == [3, 28, 53, 78, 103]
    assert len(sample_lengths(many, words, 200)) == 101


def test_a_sample_of_one_row_is_that_row(words):
    assert sample_lengths(rows().select([2]), words, 64).tolist() == [11]


def test_training_texts_are_all_texts_of_all_columns():
    assert list(TrainingTexts(rows(), 64).texts()) == TEXTS
    assert sorted(TrainingTexts(rows(text_pair=["film", "a film", "it"]), 64).texts()) == sorted(
        [*TEXTS, "film", "a film", "it"]
    )


@pytest.mark.parametrize("length", [64, 4])
def test_training_texts_give_every_id_of_their_encodings_once(words, length):
    """Also those of what is cut off, so that no word at the place of the cut loses its end."""
    occurring = {number for ids in words(TEXTS)["input_ids"] for number in ids}
    assert sorted(TrainingTexts(rows(), length).ids(words)) == sorted(occurring)


def vocabulary_of(*pieces):
    return BertTokenizer(vocab={piece: number for number, piece in enumerate([*SPECIAL.values(), *pieces])})


def test_tokenizers_cut_alike_when_every_text_falls_into_the_same_pieces():
    whole = vocabulary_of("a", "ab", "##bc", "##c", "x")
    table = Dataset.from_dict({"text": ["a abc", "x"], "id": [1, 2], "label": [0, 0]})
    texts = TrainingTexts(table, 16)
    assert texts.cut_alike(whole, vocabulary_of("x", "##c", "ab", "a"))
    assert not texts.cut_alike(whole, vocabulary_of("a", "##bc", "x"))  # a ##bc
    assert not texts.cut_alike(whole, vocabulary_of("ab", "##c", "x"))  # a is unknown


def test_a_word_counts_whole_where_its_text_is_cut_inside_it():
    tokenizer = vocabulary_of("x", "a", "##b", "##c")
    table = Dataset.from_dict({"text": ["x abc"], "id": [1], "label": [0]})
    pieces = tokenizer.convert_ids_to_tokens(TrainingTexts(table, 4).ids(tokenizer))
    assert {"x", "a", "##b", "##c"} <= set(pieces)
