from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor

from kd.knowledge.response import SoftTargets
from kd.moment import Moment
from kd.objective import Objective
from kd.schemes.base import Lesson, Scheme, Step
from models.output import ModelOutput


@pytest.fixture
def step_of() -> Callable[..., Step]:
    """A step in which each network says given logits, or a whole given output."""

    def step_of(
        said: Mapping[str, Tensor | ModelOutput],
        labels: Sequence[int] | None = None,
        moment: Moment | None = None,
        ids: Sequence[int] | None = None,
    ) -> Step:
        outputs = {name: value if isinstance(value, ModelOutput) else output_of(value) for name, value in said.items()}
        rows = len(next(iter(outputs.values())).logits)
        batch = {
            "labels": torch.tensor(list(labels) if labels is not None else [-100] * rows),
            "id": torch.tensor(list(ids) if ids is not None else list(range(rows))),
        }
        return Step(batch, outputs.__getitem__, moment or Moment())

    return step_of


def output_of(logits: Tensor) -> ModelOutput:
    return ModelOutput(logits, torch.ones(len(logits), 1, dtype=torch.bool))


@pytest.fixture
def parts_of() -> Callable[..., dict[str, Tensor]]:
    """The parts of a step's loss by name: cross-entropy over all rows, and the KL divergence at temperature 1."""

    def parts_of(
        scheme: Scheme, specs: Mapping[str, object], step: Step, label_weight: float = 1.0
    ) -> dict[str, Tensor]:
        pairs = scheme.pairs(specs)
        objective = Objective(
            {str(pair): {"kl": SoftTargets(temperature=1)} for pair in pairs}, label_loss, label_weight
        )
        parts: dict[str, Tensor] = {}
        for lesson in scheme.lessons(pairs, step):
            for name, part in objective(lesson, step.batch).items():
                parts[name] = parts[name] + part if name in parts else part
        return parts

    return parts_of


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum") / len(labels)


@pytest.fixture
def lesson_of() -> Callable[..., Lesson]:
    """The only lesson of a scheme."""

    def lesson_of(scheme: Scheme, specs: Mapping[str, object], step: Step) -> Lesson:
        (lesson,) = scheme.lessons(scheme.pairs(specs), step)
        return lesson

    return lesson_of


@pytest.fixture
def network_of() -> Callable[[float], torch.nn.Module]:
    """Something with weights, all of one value."""

    def network_of(value: float) -> torch.nn.Module:
        module = torch.nn.Linear(2, 2)
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.fill_(value)
        return module

    return network_of


@pytest.fixture
def weight_of() -> Callable[[torch.nn.Module], float]:
    """The one value of a module's weights."""

    def weight_of(module: torch.nn.Module) -> float:
        values = torch.cat([parameter.flatten() for parameter in module.parameters()])
        assert values.unique().numel() == 1
        return values[0].item()

    return weight_of
