import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertTokenizer, DistilBertTokenizer

from models.words import word_tokenizer
from potstill import fingerprint

ROOT = Path(__file__).parents[2]
TEXTS = ["a good film", "a bad film"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_the_order_of_keys_does_not_count(value):
    assert fingerprint.of_value(value) == fingerprint.of_value(dict(reversed(value.items())))


@given(st.lists(JSON, min_size=1, max_size=4), JSON)
def test_a_value_more_changes_the_name(values, another):
    assert fingerprint.of_value(values) != fingerprint.of_value([*values, another])


def test_a_name_is_sixteen_hexadecimal_digits():
    assert len(fingerprint.of_value({"a": Path("b")})) == 16
    int(fingerprint.of_value([]), 16)


def test_names_are_the_same_in_every_process():
    """Python's own hash is not."""
    code = "from potstill import fingerprint as f; print(f.of_value(dict(a=[1, 'ü'])), f.of_text('größer'))"
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert output.stdout.split() == [fingerprint.of_value({"a": [1, "ü"]}), str(fingerprint.of_text("größer"))]


def test_the_number_of_a_text_is_the_one_it_always_was():
    """Splits and cached teachers rest on it."""
    assert fingerprint.of_text("text 0") == 6007505157283057909


@given(st.text(), st.text())
def test_the_number_of_a_text_fits_in_63_bits_and_is_its_own(one, other):
    assert 0 <= fingerprint.of_text(one) < 2**63
    assert (fingerprint.of_text(one) == fingerprint.of_text(other)) == (one == other)


class TestOfFiles:
    @pytest.fixture
    def files(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).write_text(f"content of {name}")
        return [tmp_path / "a", tmp_path / "b"]

    def test_their_order_does_not_count(self, files):
        assert fingerprint.of_files(files) == fingerprint.of_files(files[::-1])

    def test_content_counts(self, files):
        before = fingerprint.of_files(files)
        files[0].write_text("content of b")
        assert fingerprint.of_files(files) != before

    def test_names_count(self, files):
        before = fingerprint.of_files(files)
        moved = [files[0].rename(files[0].with_name("c")), files[1]]
        assert fingerprint.of_files(moved) != before

    def test_their_folder_does_not_count(self, files, tmp_path):
        before = fingerprint.of_files(files)
        (tmp_path / "inner").mkdir()
        moved = [path.rename(tmp_path / "inner" / path.name) for path in files]
        assert fingerprint.of_files(moved) == before


class TestOfTensors:
    TENSORS: ClassVar = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(1, dtype=torch.int64)}

    def test_their_order_and_place_in_memory_do_not_count(self):
        turned = {"b": self.TENSORS["b"].clone(), "a": self.TENSORS["a"].t().contiguous().t()}
        assert not turned["a"].is_contiguous()
        assert fingerprint.of_tensors(turned) == fingerprint.of_tensors(self.TENSORS)

    @pytest.mark.parametrize(
        "other",
        [
            {"a": torch.tensor([[0.0, 1, 2], [3, 4, 6]])},
            {"a": torch.arange(6.0).view(3, 2)},
            {"a": torch.arange(6.0).view(2, 3).double()},
            {"a": torch.arange(6.0).view(2, 3).view(torch.int32)},
            {"b": torch.tensor([1])},
            {"c": torch.zeros(0)},
        ],
        ids=["content", "shape", "precision", "type", "dimensions", "one more"],
    )
    def test_everything_else_counts(self, other):
        assert fingerprint.of_tensors(self.TENSORS | other) != fingerprint.of_tensors(self.TENSORS)

    def test_names_count(self):
        renamed = {"a": self.TENSORS["a"], "c": self.TENSORS["b"]}
        assert fingerprint.of_tensors(renamed) != fingerprint.of_tensors(self.TENSORS)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool])
    def test_every_type_can_be_named(self, dtype):
        one, other = (fingerprint.of_tensors({"a": torch.tensor(row).to(dtype)}) for row in ([0, 1], [1, 0]))
        assert one != other


class TestOfTokenizer:
    def test_equal_words_make_equal_tokenizers(self):
        names = {fingerprint.of_tokenizer(word_tokenizer(TEXTS, 20)) for _ in range(2)}
        assert len(names) == 1

    def test_other_words_make_another(self):
        one, other = (word_tokenizer(texts, 20) for texts in (TEXTS, ["a good film"]))
        assert fingerprint.of_tokenizer(one) != fingerprint.of_tokenizer(other)

    def test_lower_casing_counts(self):
        vocabulary = word_tokenizer(TEXTS, 20).get_vocab()
        one, other = (BertTokenizer(vocab=vocabulary, do_lower_case=lower) for lower in (True, False))
        assert fingerprint.of_tokenizer(one) != fingerprint.of_tokenizer(other)

    def test_having_padded_and_cut_does_not_count(self):
        tokenizer = word_tokenizer(TEXTS, 20)
        before = fingerprint.of_tokenizer(tokenizer)
        tokenizer(TEXTS, truncation=True, max_length=4, padding="max_length")
        assert fingerprint.of_tokenizer(tokenizer) == before

    def test_tokenizers_that_give_other_columns_cannot_share_an_encoding(self):
        vocabulary = word_tokenizer(TEXTS, 20).get_vocab()
        typed, untyped = BertTokenizer(vocab=vocabulary), DistilBertTokenizer(vocab=vocabulary)
        untyped.model_input_names = ["input_ids", "attention_mask"]
        assert set(typed("a", "b")) != set(untyped("a", "b"))
        assert fingerprint.of_tokenizer(typed) != fingerprint.of_tokenizer(untyped)
