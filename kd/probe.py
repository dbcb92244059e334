"""Whether a term works between two models, found out on made-up outputs before any weight is loaded."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch

from data.task import IGNORED
from kd import ranks
from kd.knowledge.base import Knowledge
from kd.moment import Moment
from kd.store.estimate import row_shape
from kd.store.ragged import LENGTH
from models.heads import ANY_LABEL, NUMBER, ONE_OF_PART
from models.network import what_about
from models.output import LOGITS, Field, ModelOutput, Spec
from potstill.errors import UserError

TEXTS, TOKENS = 5, 3
SURE = 99


def why_not(term: Knowledge, learner: Spec, teacher: Spec) -> str | None:
    """Why a term cannot work between the two, in one line; None where it can. The term stays as it is."""
    try:
        if reason := term.fits(learner, teacher):
            return reason
        with ranks.alone(), torch.random.fork_rng(devices=[]):
            return _tried(deepcopy(term), learner, teacher)
    except UserError as error:
        return str(error).removeprefix("kd.terms: ")
    except Exception as error:  # whatever a wrong setting may lead to
        return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _tried(term: Knowledge, learner: Spec, teacher: Spec) -> str | None:
    term.connect(learner, teacher)
    term.at(Moment(99, 100, 9, 10))
    ours_read, theirs_read = term.requires(learner, teacher)
    ours, theirs = made_up(learner, ours_read, seed=0), made_up(teacher, theirs_read, seed=1)
    read = [ours[field].requires_grad_() for field in sorted(ours_read)]
    theirs.logits[-1:] *= SURE
    batch = _batch(theirs, learner, teacher)
    for _ in range(2):  # what remembers texts has some the second time
        loss = term(ours, theirs, batch)
    if not loss.isfinite():
        return f"as it is set, its loss is {loss.item()}"
    gradients = torch.autograd.grad(loss, read, allow_unused=True) if loss.requires_grad else ()
    if not any(gradient is not None and gradient.any() for gradient in gradients):
        return "as it is set, it teaches nothing"
    return None


def made_up(spec: Spec, fields: Iterable[Field], seed: int) -> ModelOutput:
    """Random outputs of a few short texts, as the spec promises them."""
    draw = torch.Generator().manual_seed(seed)
    tensors = {}
    for field in sorted(fields):
        shape = (TOKENS if size == LENGTH else size for size in row_shape(field, spec))
        tensors[field] = torch.randn(TEXTS, *shape, generator=draw)
    mask = torch.ones(TEXTS, TOKENS, dtype=torch.bool)
    return ModelOutput.of(tensors, mask, **what_about(spec.problem, _encoding(spec)))


def _batch(teacher: ModelOutput, learner: Spec, its: Spec) -> dict[str, Any]:
    """A batch in which the teacher is right, but for the last text, of which it is sure and which has no label."""
    logits = teacher.logits if teacher.logits.numel() else made_up(its, [LOGITS], seed=2).logits
    known = {ANY_LABEL: (logits > 0).long(), NUMBER: logits[..., 0]}
    labels = known.get(its.problem, logits.argmax(-1)).clone()
    labels[-1] = IGNORED
    return {
        "id": torch.arange(TEXTS),
        "labels": labels,
        "encodings": {spec.tokenizer: _encoding(spec) for spec in (learner, its)},
    }


def _encoding(spec: Spec) -> dict[str, Any]:
    """Texts of one-token words; of several tasks, the first two texts choose among other classes than the rest."""
    ones = torch.ones(TEXTS, TOKENS, dtype=torch.long)
    words = torch.arange(TOKENS).expand(TEXTS, TOKENS)
    encoding = {"input_ids": ones, "attention_mask": ones, "words": words, "word_count": TOKENS}
    if spec.problem != ONE_OF_PART:
        return encoding
    first = torch.arange(spec.classes) < spec.classes / 2
    return encoding | {"choices": torch.stack([first] * 2 + [~first] * (TEXTS - 2))}
