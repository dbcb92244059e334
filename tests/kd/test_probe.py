from dataclasses import replace
from functools import partial

import pytest
import torch

from kd.knowledge import pairing, structures
from kd.knowledge.contrast import BankContrast, InBatchContrast
from kd.knowledge.distances import jensen_shannon, mse, soft_targets
from kd.knowledge.feature import HiddenStates
from kd.knowledge.relation import FlowMatrices, Relation
from kd.knowledge.response import Correlations, Logits, SoftTargets
from kd.knowledge.weighting import correct
from kd.probe import why_not
from models.heads import ANY_LABEL, NUMBER, ONE_OF_PART, TAGS

AS_SET = "as it is set, it teaches nothing"
TOKENS = {"read": "hidden_states"}


@pytest.mark.parametrize(
    ("term", "reason"),
    [
        (Logits(partial(jensen_shannon, mix=1.5), temperature=1.0), "ValueError: "),
        (Logits(mse, temperature=1.0), "TypeError: mse() takes 2 positional arguments but 3 were given"),
        (Logits(partial(soft_targets, gama=1)), "TypeError: soft_targets() got an unexpected keyword argument 'gama'"),
        (Relation(partial(structures.energy, power=0.0), **TOKENS), AS_SET),
        (Relation(partial(structures.radial_basis, order=-1)), "RuntimeError: stack expects"),
        (Correlations(rows=0, classes=0), AS_SET),
        (InBatchContrast(dimension=0), AS_SET),
        (BankContrast(size=0), ""),
        (HiddenStates(pairing.explicit, mse), "TypeError: explicit() missing 1 required positional argument: 'pairs'"),
        (HiddenStates(partial(pairing.explicit, pairs=[[1]]), mse), "ValueError: "),
        (HiddenStates(pairing.last, mse, pieces="median"), "pieces='median' is none of mean, first, max"),
        (
            FlowMatrices(partial(pairing.explicit, pairs=[[0, 0], [0, 1]])),
            "layer 0 of the learner is paired with layers",
        ),
    ],
)
def test_a_setting_that_leads_nowhere_is_one_line(term, reason, make_spec):
    learner, teacher = make_spec(tokenizer="a"), make_spec(tokenizer="b", widths=(8, 6, 8))
    found = why_not(term, learner, teacher)
    assert found.startswith(reason)
    assert found
    assert "\n" not in found


@pytest.mark.parametrize("problem", [TAGS, ANY_LABEL, ONE_OF_PART])
@pytest.mark.parametrize("make", [SoftTargets, partial(SoftTargets, weighting=correct), partial(Logits, mse)])
def test_a_term_is_tried_on_logits_as_the_task_has_them(make, problem, make_spec):
    spec = make_spec(problem=problem)
    assert why_not(make(), spec, spec) is None


def test_a_number(make_spec):
    spec = make_spec(classes=1, problem=NUMBER)
    assert why_not(Logits(mse), spec, spec) is None
    assert why_not(SoftTargets(), spec, spec) == "1 class: one number has no probabilities; say kd=logits"


def test_neither_the_term_nor_chance_is_touched(make_spec):
    term, spec = HiddenStates(pairing.last, mse), make_spec()
    torch.manual_seed(3)
    assert why_not(term, spec, replace(spec, widths=(16,) * 3)) is None
    assert list(term.parameters()) == []
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert drawn == torch.rand(1)
