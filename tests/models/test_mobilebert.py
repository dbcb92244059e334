import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification

from data.tokenization import TrainingTexts
from models.attention import record_attention
from models.heads import MASKED, SPANS, TAGS
from models.mobilebert import MobileBERT
from models.network import parameter_count
from models.sources import Folder
from models.transformer import Pretrained, load
from potstill.errors import UserError

CORPUS = TrainingTexts(Dataset.from_dict({"text": ["a good film", "so bad"]}), 64)
SIZES = {"hidden_size": 16, "intra_bottleneck_size": 8, "embedding_size": 6, "num_attention_heads": 2}


@pytest.fixture
def student():
    torch.manual_seed(0)
    return MobileBERT(num_hidden_layers=3, **SIZES).draft(("bad", "good"), None, CORPUS).network().eval()


def test_it_is_as_deep_as_its_teacher_and_has_its_words(fine_tuned):
    teacher = Pretrained(Folder(str(fine_tuned))).draft(("bad", "good"))
    draft = MobileBERT(**SIZES).draft(("bad", "good"), teacher, CORPUS)
    assert draft.spec.widths == (16,) * 5
    assert draft.spec.heads == 2
    assert draft.spec.tokenizer == teacher.spec.tokenizer
    assert draft.spec.parameters == parameter_count(draft.network().model)


def test_the_paper_s_student_has_25_million_parameters():
    """Of which 3.9 are embeddings: 30,522 words of width 128 (table 1 of the paper says 25.3 in all)."""
    tokenizer_size = 30_522
    draft = MobileBERT(num_hidden_layers=24).draft(("a", "b"), None, CORPUS)
    missing = (tokenizer_size - draft.config.vocab_size) * 128
    assert (draft.spec.parameters + missing) / 1e6 == pytest.approx(25.3, abs=0.8)


def test_padding_does_not_matter(student):
    batch = student.tokenizer(["a good film", "so bad"], padding=True, return_tensors="pt")
    alone = student.tokenizer(["so bad"], return_tensors="pt")
    torch.testing.assert_close(student.model(**batch).logits[1:], student.model(**alone).logits)


def test_attention_is_recorded(student):
    batch = student.tokenizer(["a good film", "so bad"], padding=True, return_tensors="pt")
    student.model.set_attn_implementation("eager")
    expected = student.model(**batch, output_attentions=True).attentions
    record_attention(student.model, {1, 2, 3})
    found = student.model(**batch, output_attentions=True).attentions
    padding = torch.zeros(2, 1, 1, batch["input_ids"].shape[1])
    padding = padding.masked_fill(batch["attention_mask"][:, None, None] == 0, -torch.inf)
    for record, probabilities in zip(found, expected, strict=True):
        torch.testing.assert_close((record.attention_scores + padding).softmax(-1), probabilities)


def test_it_comes_back_from_its_folder(student, tmp_path):
    student.save(tmp_path)
    batch = student.tokenizer(["a good film"], return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.equal(model(**batch).logits, student.model(**batch).logits)
    assert load(tmp_path).spec == student.spec


@pytest.mark.parametrize("problem", [TAGS, SPANS, MASKED])
def test_it_has_heads_for_words(problem):
    draft = MobileBERT(num_hidden_layers=1, **SIZES).draft(("a", "b"), None, CORPUS, problem)
    assert draft.network().spec.problem == problem


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hidden_size": 0}, "student.hidden_size: 0 is not a whole number above 0"),
        ({"num_hidden_layers": 0}, "student.num_hidden_layers: 0 is not a whole number above 0"),
        ({"num_attention_heads": 3}, "3 heads do not divide intra_bottleneck_size 128"),
        ({}, "student.num_hidden_layers: there is no teacher to be as deep as"),
    ],
)
def test_what_cannot_be(settings, reason):
    with pytest.raises(UserError, match=reason):
        MobileBERT(**settings).draft(("a", "b"), None, CORPUS)
