"""Every student with every knowledge under every scheme: it trains, or is refused before a weight loads."""

from collections import Counter
from itertools import product
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from data.module import Batches
from kd.assembly import Assembly
from kd.distiller import Distiller
from kd.moment import Moment
from kd.plan import make_plan
from potstill.errors import UserError

STUDENTS = ("bert_small", "bilstm", "cnn_lstm", "attentive_bilstm")
LIKE_OTHERS = ("pqrnn",)  # recurrent as well
OTHER_STUDENTS = {"siamese_bilstm", "mobilebert"}  # tests/models/, and below
KNOWLEDGE = ("none", "response", "feature", "relation", "[response,feature,relation]")
MAIN = ("offline", "mutual", "self")
LOGITS_ALONE = ("collaborative", "label_smoothing", "native_ensemble", "progressive", "teacher_free")
OTHERS = (*LOGITS_ALONE, "codistillation", "ensemble", "joint", "mean_teacher", "snapshot")
TAGS_ALONE = ("neighbours",)  # tests/test_tasks.py
APART = ("codistillation_apart",)  # two runs: tests/kd/test_processes.py
STAGED = ("annealing", "assistant", "born_again", "self_training")  # whole runs: tests/kd/test_stages.py
CELLS = [*product(STUDENTS, KNOWLEDGE, MAIN), *product(STUDENTS, ("default", "[feature,relation]"), OTHERS)]
CELLS += product(LIKE_OTHERS, ("[response,feature,relation]",), MAIN)


class Watched(Assembly):
    """Keeps what a fit began and ended with, before the best weights are put back."""

    def _fit(self, distiller: Distiller, *args: object, **kwargs: object) -> float:
        self.distiller = distiller
        self.before, self.first = self._look(*args)
        distiller.on_train_end = lambda: setattr(self, "end", self._look(*args))
        seconds = super()._fit(distiller, *args, **kwargs)
        self.after, self.last = self.end
        return seconds

    def _look(self, batches: Batches, *_: object) -> tuple[dict[str, torch.Tensor], Counter[str]]:
        state = self.distiller.state_dict().items()
        weights = {name: weight.clone() for name, weight in state if isinstance(weight, torch.Tensor)}
        losses = Counter[str]()
        for batch in batches.train_dataloader():
            losses.update(losses_of(self.distiller, batch))
        return weights, losses


def losses_of(distiller: Distiller, batch: dict) -> Counter[str]:
    """The losses of one batch by name, without dropout."""
    losses = Counter[str]()
    distiller.eval()
    with torch.no_grad():
        parts = distiller.losses(distiller.step_of(batch, Moment()))
        losses.update({name: part.item() for name, part in parts.items()})
    distiller.train()
    return losses


def costs(assembly: Watched) -> tuple[float, float]:
    """What was not nothing at first, as copies of a teacher agree: before and after a fit."""
    begun = {name for name, loss in assembly.first.items() if loss > 1e-3}
    first, last = (sum(losses[name] for name in begun) for losses in (assembly.first, assembly.last))
    return first, last


def moved(assembly: Watched, prefix: str) -> set[str]:
    """The weights below a prefix that training changed."""
    before, after = assembly.before, assembly.after
    return {name for name, was in before.items() if name.startswith(prefix) and not after[name].equal(was)}


def refused(student: str, knowledge: str, scheme: str) -> str | None:
    """Why a cell cannot train."""
    if (student, scheme) == ("bilstm", "self"):
        return "has 1 layer"
    return "gives no hidden states" if scheme in LOGITS_ALONE and "feature" in knowledge else None


def test_there_are_as_many_cells_as_choices() -> None:
    conf = Path(__file__).parent.parent / "conf"
    assert {path.stem for path in (conf / "student").glob("*.yaml")} == {*STUDENTS, *LIKE_OTHERS, *OTHER_STUDENTS}
    assert {path.stem for path in (conf / "scheme").glob("*.yaml")} == {*MAIN, *OTHERS, *APART, *STAGED, *TAGS_ALONE}
    assert len(CELLS) == 60 + 80 + 3


@pytest.mark.parametrize(("student", "knowledge", "scheme"), CELLS)
def test_cell(student, knowledge, scheme, configure, other_fine_tuned, monkeypatch, tmp_path) -> None:
    more = [] if knowledge == "default" else [f"kd={knowledge}"]
    if scheme == "ensemble":
        more += ["+teacher@scheme.teachers.second=local", f"scheme.teachers.second.path={other_fine_tuned}"]
    config: DictConfig = configure(
        f"student={student}",
        f"scheme={scheme}",
        *more,
        "trainer.max_epochs=4",
        "+trainer.limit_val_batches=1",
        "logger=[]",
        "optimizer.lr=1e-3",
    )
    if reason := refused(student, knowledge, scheme):
        monkeypatch.setattr(torch.nn.Module, "load_state_dict", None)
        with pytest.raises(UserError, match=reason):
            make_plan(config)
        return
    assembly = Watched(config, make_plan(config), tmp_path, [])
    teachers, _ = assembly.teachers()
    teacher = teachers["teacher"]
    taught = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    assembly.distil(teachers)

    first, last = costs(assembly)
    assert last < max(first, 0.2)  # which a student made of its teacher's layers may be below from the start
    for name in assembly.plan.drafts:
        trained = {f"networks.{name}.{key}" for key, _ in assembly.distiller.networks[name].named_parameters()}
        resting = trained - moved(assembly, f"networks.{name}.")
        assert not {
            key for key in resting if "token_type" not in key and ".pooler" not in key and "key.bias" not in key
        }
    projections = {name for name, _ in assembly.distiller.objective.named_parameters()}
    assert moved(assembly, "objective.") == {f"objective.{name}" for name in projections}
    assert all(teacher.state_dict()[name].equal(weight) for name, weight in taught.items())
    assert not any("teacher" in name.split(".")[:2] for name in assembly.before)


@pytest.mark.parametrize("scheme", ["offline", "self", "mutual"])
@pytest.mark.parametrize("knowledge", ["response", "feature_maps", "minilmv2", "[attention,relation]"])
def test_a_deep_student_from_random_weights(knowledge, scheme, configure, tmp_path) -> None:
    sizes = [f"student.{size}=16" for size in ("hidden_size", "intra_bottleneck_size", "embedding_size")]
    sizes += ["student=mobilebert", "student.num_feedforward_networks=1", "student.num_attention_heads=2"]
    settings = ["optimizer.lr=1e-2", "trainer.max_epochs=6", "+trainer.limit_val_batches=1", "logger=[]"]
    config = configure(f"kd={knowledge}", f"scheme={scheme}", *sizes, *settings)
    assembly = Watched(config, make_plan(config), tmp_path, [])
    assembly.distil(assembly.teachers()[0])
    assert any("kd/" in name for name in assembly.first)
    first, last = costs(assembly)
    assert last < first
