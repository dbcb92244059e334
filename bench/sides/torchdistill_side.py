"""torchdistill's DistillationBox, configured as its example for text classification with transformers.

Its core imports torchvision, whose wheels on PyPI run with the CUDA build of torch alone. The few names
of it that are read on import, none of which works on text, are stood in for where it is missing.
The losses on hidden states and attention are registered with it, as its documentation has it for new ones.
"""

import sys
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import RandomSampler
from transformers import DataCollatorWithPadding, PreTrainedModel
from transformers.optimization import get_linear_schedule_with_warmup

from bench.sides.losses import attention_mse, give_scores, hidden_mse, projections
from bench.sides.task import Clock, Options, Result, Row, Updates, Work, evaluate, quiet


def stand_in_for_torchvision() -> None:
    """Empty modules under the names that torchdistill imports."""
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        names = ("", ".datasets", ".models", ".models.densenet", ".models.resnet")
        found = {name: ModuleType(f"torchvision{name}") for name in names}
        sys.modules |= {module.__name__: module for module in found.values()}
        found[""].datasets, found[""].models = found[".datasets"], found[".models"]  # type: ignore[attr-defined]
        for part in ("detection", "segmentation"):
            setattr(found[".models"], part, ModuleType(part))
        for name in ("_DenseBlock", "_Transition"):
            setattr(found[".models.densenet"], name, nn.Module)
        for name in ("BasicBlock", "conv1x1"):
            setattr(found[".models.resnet"], name, nn.Module)


stand_in_for_torchvision()

from torchdistill.core.distillation import DistillationBox  # noqa: E402
from torchdistill.core.interfaces.registry import register_forward_proc_func  # noqa: E402
from torchdistill.datasets.registry import register_collate_func  # noqa: E402
from torchdistill.losses.registry import register_func2extract_model_output, register_mid_level_loss  # noqa: E402
from torchdistill.models.wrapper import AuxiliaryModelWrapper  # noqa: E402
from torchdistill.optim.registry import register_optimizer, register_scheduler  # noqa: E402

register_scheduler(get_linear_schedule_with_warmup)


@register_forward_proc_func
def forward_batch_as_kwargs(model: nn.Module, batch: Any, targets: Any = None, supp_dict: Any = None) -> Any:
    """As in its example."""
    return model(**batch)


@register_func2extract_model_output
def extract_transformers_loss(student_outputs: Any, targets: Any, **_: Any) -> dict[str, Tensor]:
    """As in its example."""
    return {"loss": student_outputs.loss}


class Pair(nn.Module):
    """A loss between the outputs of two modules; the mask comes as the targets.

    Args:
        student_module_path, teacher_module_path: of the modules.
    """

    def __init__(self, student_module_path: str, teacher_module_path: str):
        super().__init__()
        self.paths = (student_module_path, teacher_module_path)

    def outputs(self, student: Any, teacher: Any) -> list[Any]:
        """Of both modules."""
        return [io[path]["output"] for io, path in zip((student, teacher), self.paths, strict=True)]


@register_mid_level_loss
class HiddenPair(Pair):
    """Mean squared difference of hidden states over real tokens."""

    def forward(self, student: Any, teacher: Any, targets: Tensor, *_: Any) -> Tensor:
        mine, theirs = self.outputs(student, teacher)
        return hidden_mse(mine, theirs, targets)


@register_mid_level_loss
class AttentionPair(Pair):
    """Mean squared difference of attention scores over real pairs of tokens."""

    def forward(self, student: Any, teacher: Any, targets: Tensor, *_: Any) -> Tensor:
        mine, theirs = (scores for _, scores in self.outputs(student, teacher))
        return attention_mse(mine, theirs, targets)


class Projected(AuxiliaryModelWrapper):
    """The student with its projections, which see its hidden states after it has run.

    Args:
        model: the student.
        maps: a projection for each of the layers.
        layers: paths of the modules that give the hidden states.
    """

    def __init__(self, model: PreTrainedModel, maps: nn.ModuleList, layers: list[str]):
        super().__init__()
        self.model, self.maps, self.layers = model, maps, layers

    def forward(self, **batch: Tensor) -> Any:
        return self.model(**batch)

    def secondary_forward(self, outputs: Any) -> None:
        for map_, layer in zip(self.maps, self.layers, strict=True):
            map_(outputs[layer]["output"])


def main() -> None:
    """Do the work once."""
    quiet()
    options = Options.read(("live",))
    work, clock = Work(options), Clock()
    student, teacher = work.student(), work.teacher()
    give_scores(student, [mine for mine, _ in work.attention])
    give_scores(teacher, [theirs for _, theirs in work.attention])
    start, collator = evaluate(student, work), DataCollatorWithPadding(work.tokenizer)
    register_collate_func(collator, key="padding")
    box = make_box(work, student, teacher)
    updates, longest = Updates(box.optimizer), work.longest()
    first = loss_of(box, collator, longest)
    torch.manual_seed(work.seed)
    clock.tick()
    for epoch in range(box.num_epochs):
        box.pre_epoch_process(epoch=epoch)
        for batch in box.train_data_loader:
            loss = box.forward_process(batch, targets=batch["attention_mask"], supp_dict=None)
            box.post_forward_process(loss=loss)
        box.post_epoch_process()
        clock.tick()
    last = loss_of(box, collator, longest)
    Result(clock.seconds(), updates.count, first, last, start, evaluate(student, work)).write(options)


@torch.no_grad()
def loss_of(box: DistillationBox, collator: DataCollatorWithPadding, rows: list[Row]) -> float:
    """The box's loss on these rows without dropout."""
    box.student_model.eval()
    batch = collator(rows)
    loss = box.forward_process(batch, targets=batch["attention_mask"], supp_dict=None).item()
    box.student_model.train()
    return loss


def make_box(work: Work, student: PreTrainedModel, teacher: PreTrainedModel) -> DistillationBox:
    """The box with all that its config says."""
    maps = projections(work, student, teacher)
    projected = any(isinstance(map_, nn.Linear) for map_ in maps)
    layers = [f"{'model.' if projected else ''}{layer_path(student, mine)}" for mine, _ in work.hidden]
    model = Projected(student, maps, layers) if projected else student
    outputs = [f"maps.{number}" for number in range(len(maps))] if projected else layers
    terms = knowledge_terms(work, student, teacher, "model." if projected else "", outputs)
    register_optimizer(lambda *_, **__: work.optimizer(model), key="adamw_no_decay")
    paths = {side: {term["criterion"]["kwargs"][f"{side}_module_path"] for term in terms.values()} for side in SIDES}
    paths["student"] |= set(layers)
    config = {
        "num_epochs": work.options.epochs,
        "train_data_loader": {
            "dataset_id": "train",
            "sampler": {"class_or_func": RandomSampler},
            "kwargs": {"batch_size": work.settings["batch_size"]},
            "collate_fn": "padding",
            "requires_supp": False,
        },
        "teacher": model_config(paths["teacher"], trains=False),
        "student": model_config(paths["student"], trains=True),
        "optimizer": {"key": "adamw_no_decay", "kwargs": {}, "max_grad_norm": work.settings["clip"]},
        "scheduler": {
            "key": "get_linear_schedule_with_warmup",
            "kwargs": {"num_warmup_steps": work.warmup(), "num_training_steps": work.updates()},
            "scheduling_step": 1,
        },
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"model_term": {"weight": 1.0}, "sub_terms": terms},
            "func2extract_model_loss": "extract_transformers_loss",
        },
    }
    return DistillationBox(teacher, model, {"train": work.rows("train")}, config, torch.device("cpu"), None, False, 1.0)


SIDES = ("student", "teacher")


def model_config(paths: set[str], trains: bool) -> dict[str, Any]:
    """How a model runs, and which of its modules are looked at."""
    return {
        "forward_proc": "forward_batch_as_kwargs",
        "requires_grad": trains,
        "forward_hook": {"input": [], "output": sorted(paths)},
    }


def knowledge_terms(
    work: Work, student: PreTrainedModel, teacher: PreTrainedModel, prefix: str, hidden: list[str]
) -> dict[str, Any]:
    """The terms of the criterion; `hidden` are the modules that give the student's hidden states."""
    temperature = work.settings["temperature"]
    classifiers = {"student_module_path": f"{prefix}classifier", "teacher_module_path": "classifier"}
    ends = {"student_module_io": "output", "teacher_module_io": "output", "temperature": temperature, "alpha": 0.0}
    terms = {"kd": term("KDLoss", temperature**2, **classifiers, **ends)}
    for path, (mine, theirs) in zip(hidden, work.hidden, strict=True):
        goal = layer_path(teacher, theirs)
        terms[f"hidden{mine}"] = term("HiddenPair", 1.0, student_module_path=path, teacher_module_path=goal)
    for mine, theirs in work.attention:
        ours, goal = (f"{layer_path(model, at)}.attention.self" for model, at in ((student, mine), (teacher, theirs)))
        terms[f"attention{mine}"] = term("AttentionPair", 1.0, student_module_path=ours, teacher_module_path=goal)
    return terms


def term(key: str, weight: float, **kwargs: Any) -> dict[str, Any]:
    """One term of the criterion."""
    return {"criterion": {"key": key, "kwargs": kwargs}, "weight": weight}


def layer_path(model: PreTrainedModel, layer: int) -> str:
    """Path of the module that gives the hidden states of a layer, counted from 1."""
    return (
        f"{model.base_model_prefix}.{'layers' if hasattr(model.base_model, 'layers') else 'encoder.layer'}.{layer - 1}"
    )


if __name__ == "__main__":
    main()
