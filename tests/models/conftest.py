import pytest
import torch
from transformers import AutoModelForSequenceClassification

from models.output import Field
from models.transformer import load


@pytest.fixture
def comes_back(tmp_path):
    """Checks that a saved classifier, loaded by transformers or by us, says and gives what it did."""

    def check(student, *texts):
        student.save(tmp_path)
        batch = student.tokenizer(*texts, padding=True, return_tensors="pt")
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
        assert torch.equal(model(**batch).logits, student.model(**batch).logits)
        assert load(tmp_path).spec == student.spec
        for layer, width in enumerate(student.spec.widths):
            field = Field("hidden_states", layer)
            assert student({student.spec.tokenizer: batch}, frozenset({field}))[field].shape[-1] == width

    return check
