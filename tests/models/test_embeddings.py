import gzip

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.embeddings import from_other_tokenizer, narrowed, word_vectors
from models.words import word_tokenizer
from potstill.errors import UserError

VOCABULARY = {"[PAD]": 0, "film": 1, "good": 2, "bad": 3, ".": 4}


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 40), width=st.integers(2, 12), seed=st.integers(0, 10**6), data=st.data())
def test_narrowing_loses_no_more_than_the_smallest_singular_values(rows, width, seed, data):
    """Eckart and Young: the norm that is lost is the root of the summed squares of those left out."""
    size = data.draw(st.integers(1, width - 1))
    table = torch.randn(rows, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lost = torch.linalg.svd(table).S[size:].square().sum()
    kept = narrowed(table, size).square().sum()
    assert narrowed(table, size).shape == (rows, size)
    torch.testing.assert_close(table.square().sum() - kept, lost, atol=1e-9, rtol=1e-7)


def test_the_narrow_rows_are_the_wide_ones_in_other_axes():
    table = torch.randn(50, 8, dtype=torch.float64) @ torch.diag(torch.tensor([9, 8, 7, 1e-9, 0, 0, 0, 0]).double())
    short = narrowed(table, 3)
    torch.testing.assert_close(short @ short.T, table @ table.T)
    assert short.square().sum(0).diff().lt(0).all()


def test_a_table_as_wide_as_asked_for_stays_as_it_is():
    table = torch.randn(5, 4)
    assert narrowed(table, 4) is table


def test_the_kind_of_number_is_kept():
    assert narrowed(torch.randn(9, 4).bfloat16(), 2).dtype == torch.bfloat16


class TestFromOtherTokenizer:
    @pytest.fixture
    def theirs(self):
        """Knows `good` and `film` and the letters of both."""
        return word_tokenizer(["good film"], 10)

    @pytest.fixture
    def ours(self):
        return word_tokenizer(["good films filmdog x"], 10)

    @pytest.fixture
    def rows(self, theirs, ours):
        table = torch.randn(len(theirs), 3)
        return table, from_other_tokenizer(table, theirs, ours)

    def test_a_word_that_both_know_keeps_its_row(self, theirs, ours, rows):
        table, made = rows
        assert torch.equal(made[ours.get_vocab()["good"]], table[theirs.get_vocab()["good"]])

    def test_another_word_has_the_mean_of_its_pieces(self, theirs, ours, rows):
        table, made = rows
        pieces = theirs.tokenize("filmdog")
        assert pieces[0] == "film"
        assert len(pieces) == 4
        expected = table[theirs.convert_tokens_to_ids(pieces)].mean(0)
        torch.testing.assert_close(made[ours.get_vocab()["filmdog"]], expected)

    def test_a_piece_inside_a_word_has_the_row_of_its_letters(self, theirs, ours, rows):
        table, made = rows
        assert torch.equal(made[ours.get_vocab()["##g"]], table[theirs.get_vocab()["g"]])

    def test_a_word_unknown_to_them_has_the_row_of_the_unknown(self, theirs, ours, rows):
        table, made = rows
        assert torch.equal(made[ours.get_vocab()["x"]], table[theirs.unk_token_id])

    def test_special_tokens_have_the_rows_of_theirs(self, theirs, ours, rows):
        table, made = rows
        for part in ("pad_token_id", "unk_token_id", "cls_token_id", "sep_token_id", "mask_token_id"):
            assert torch.equal(made[getattr(ours, part)], table[getattr(theirs, part)])

    def test_there_is_a_row_for_each_of_our_words(self, ours, rows):
        _, made = rows
        assert made.shape == (len(ours), 3)
        assert made.abs().sum(1).gt(0).all()


class TestWordVectors:
    def read(self, path, content, pack=bytes):
        path.write_bytes(pack(content.encode()))
        table = torch.full((5, 2), 7.0)
        return word_vectors(path, VOCABULARY, table), table

    def test_rows_of_known_words_are_written_and_counted(self, tmp_path):
        found, table = self.read(tmp_path / "vectors.txt", "film 0.5 -1e-3\nunheard 1 2\nbad 3 4\n")
        assert found == 2
        assert table.tolist() == [[7, 7], [0.5, pytest.approx(-0.001)], [7, 7], [3, 4], [7, 7]]

    def test_the_header_of_word2vec_is_passed_over(self, tmp_path):
        found, table = self.read(tmp_path / "vectors.txt", "2 2\nfilm 1 2\nbad 3 4\n")
        assert found == 2
        assert table[1].tolist() == [1, 2]

    def test_the_file_may_be_compressed(self, tmp_path):
        assert self.read(tmp_path / "vectors.txt.gz", "film 1 2\n", gzip.compress)[0] == 1

    def test_a_blank_behind_the_last_number_does_not_count(self, tmp_path):
        assert self.read(tmp_path / "vectors.txt", "film 1 2 \n")[1][1].tolist() == [1, 2]

    def test_another_width_is_refused_with_its_line(self, tmp_path):
        with pytest.raises(UserError, match=r"vectors\.txt:2: 3 values, where student\.embedding_size is 2"):
            self.read(tmp_path / "vectors.txt", "unheard 1 2 3\nfilm 1 2 3\n")

    def test_what_is_not_a_number_is_refused_with_its_line_and_word(self, tmp_path):
        with pytest.raises(UserError, match=r"vectors\.txt:2: a value of 'film' is not a number"):
            self.read(tmp_path / "vectors.txt", "good 1 2\nfilm one 2\n")

    def test_entries_of_several_words_are_passed_over(self, tmp_path):
        """GloVe's largest file has such entries."""
        found, _ = self.read(tmp_path / "vectors.txt", ". . . 1 2\nfilm 3 4\n")
        assert found == 1

    def test_the_binary_kind_of_file_is_refused(self, tmp_path):
        (tmp_path / "vectors.bin").write_bytes(b"2 2\nfilm \x00\x00\x80\x3f\x9a\x99\x99\x3e\n")
        with pytest.raises(UserError, match=r"vectors\.bin"):
            word_vectors(tmp_path / "vectors.bin", VOCABULARY, torch.zeros(5, 2))
