"""Every term with every student in whole fits, in mixed precision and without labels: its loss falls, and what is
about logits teaches the classes; or it is refused before a weight loads.
"""

from itertools import cycle, product
from pathlib import Path

import pytest
import torch

from data.module import Batches
from kd.assembly import Assembly
from kd.distiller import Distiller
from kd.moment import Moment
from kd.plan import make_plan
from potstill.errors import UserError

CONF = Path(__file__).parent.parent.parent / "conf"
TERMS = sorted({path.stem for path in (CONF / "kd").glob("*.yaml")} - {"none"})
OTHERS = {"siamese_bilstm", "mobilebert"}  # tests/models/, tests/test_cells.py
STUDENTS = ("bert_small", "bilstm")
IN_TURN = ("cnn_lstm", "attentive_bilstm", "pqrnn")  # recurrent as the BiLSTM is: each tries a third of the terms
CELLS = [*product(TERMS, STUDENTS), *zip(TERMS, cycle(IN_TURN), strict=False)]
TWO_CLASSES = {"decoupled", "dist", "standardised"}
LOGITS = {"confident", "correct", "instance_graph", "jensen_shannon", "kl", "logits", "response"}
LOGITS |= {"pseudo_labels", "reverse_kl", "soft_cross_entropy", "softened_teacher"}
RATES = {"bert_small": "1e-3", "bilstm": "3e-3", "cnn_lstm": "3e-3", "attentive_bilstm": "1e-3", "pqrnn": "3e-3"}
ATTENTION = {
    "attention",
    "attention_probabilities",
    "last_attention",
    "minilm",
    "minilmv2",
    "tinybert",
    "value_relation",
}
SEVERAL_LAYERS = {"instance_steps", "patient", "patient_last", "random_layers"}
ONE_LAYER = {"bilstm"}

pytestmark = pytest.mark.slow


class Watched(Assembly):
    """Keeps the terms' losses before and after a fit, and how many validation rows are right at the end."""

    def _fit(self, distiller: Distiller, batches: Batches, *args: object, **kwargs: object) -> object:
        self.first = losses(distiller, batches)
        distiller.on_train_end = lambda: setattr(self, "last", losses(distiller, batches))
        fitted = super()._fit(distiller, batches, *args, **kwargs)
        distiller.eval()
        right = [
            distiller.networks["student"](batch["encodings"]).logits.argmax(-1) == batch["labels"]
            for batch in batches.val_dataloader()
        ]
        self.score = torch.cat(right).float().mean().item()
        return fitted


def losses(distiller: Distiller, batches: Batches) -> float:
    """What the terms cost over the training rows at the end of a run, without dropout and label loss."""
    distiller.eval()
    distiller.objective.at(Moment(99, 100, 4, 5))
    total = 0.0
    with torch.no_grad():
        for batch in batches.train_dataloader():
            torch.manual_seed(0)
            parts = distiller.losses(distiller.step_of(batch, Moment(99, 100, 4, 5)))
            total += sum(part.item() for name, part in parts.items() if name.startswith("kd/"))
    distiller.train()
    return total


def test_there_is_a_reason_for_each_that_is_refused():
    assert set(TERMS) > TWO_CLASSES | ATTENTION | SEVERAL_LAYERS
    assert {path.stem for path in (CONF / "student").glob("*.yaml")} == {*STUDENTS, *IN_TURN, *OTHERS}


def test_a_student_with_words_of_its_own_meets_the_teacher_in_words(configure, tmp_path):
    """Read from the store and asked live, the teacher says the same."""
    found = []
    for store in ("store.dtype=float32", "store=off"):
        terms = "kd=[hidden_states,token_relations,attention_transfer]"
        words = ["student=bilstm", "student.vocabulary=words", "student.vocabulary_size=5"]
        paths = [f"store.folder={tmp_path}/store", "logger=[]", store]
        config = configure(terms, *words, *paths, "trainer.max_epochs=2", "optimizer.lr=2e-3")
        assembly = Watched(config, make_plan(config), tmp_path / store, [])
        assembly.distil(assembly.teachers()[0])
        assert assembly.last < assembly.first
        found.append((assembly.first, assembly.last))
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.mark.parametrize(("term", "student"), CELLS)
def test_a_term_teaches_a_student(term, student, configure, tmp_path, monkeypatch):
    config = configure(
        f"kd={term}",
        f"student={student}",
        f"optimizer.lr={RATES[student]}",
        *(
            ["student.teacher_layers=[]"] if student == "bert_small" and term not in LOGITS else []
        ),  # which agree with it
        "trainer.max_epochs=5",
        "trainer.precision=bf16-mixed",
        "kd.label_weight=0",
        "logger=[]",
    )
    reason = None
    if term in TWO_CLASSES:
        reason = "2 classes"
    elif term in ATTENTION and student != "bert_small":
        reason = r"gives no (attention scores|keys|queries|values)"
    elif term in SEVERAL_LAYERS and student in ONE_LAYER:
        reason = r"finds no layers|between pairs of layers"
    if reason:
        monkeypatch.setattr(torch.nn.Module, "load_state_dict", None)
        with pytest.raises(UserError, match=reason):
            make_plan(config)
        return
    assembly = Watched(config, make_plan(config), tmp_path, [])
    assembly.distil(assembly.teachers()[0])
    if term != "bank_contrast":  # whose bank is empty at first
        assert assembly.last < max(1.01 * assembly.first, 1e-3)  # some have a floor
    assert term not in LOGITS or assembly.score > 0.6
