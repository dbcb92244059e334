"""From the learner's width to the teacher's.

A projection belongs to the learner, is trained with it, and is left behind when the student is saved.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from models.output import Spec
from potstill.errors import UserError

Widths = Mapping[int, tuple[int, int]]  # layer of the learner -> its width, and that to bring it to


class Projections(nn.Module):
    """What brings each layer of the learner to the teacher's width.

    Args:
        maps: by layer of the learner; the same one may stand for several.
    """

    def __init__(self, maps: Mapping[int, nn.Module]):
        super().__init__()
        self.maps = nn.ModuleDict({str(layer): module for layer, module in maps.items()})

    def forward(self, layer: int, states: Tensor) -> Tensor:
        """States `[..., H]` of a layer at the teacher's width."""
        return self.maps[str(layer)](states)


@dataclass(frozen=True)
class Linear:
    """A linear map for each layer whose width differs (FitNets' regressor, arXiv 1412.6550); else none.

    Args:
        shared: one map for all layers (the code of TinyBERT, arXiv 1909.10351); their widths have to agree.
        orthogonal: begin with orthogonal weights and no bias, so that angles are kept as far as the widths allow.
    """

    shared: bool = False
    orthogonal: bool = False

    def projections(self, widths: Widths) -> Projections:
        """The maps, with first weights that follow torch's seed."""
        maps: dict[int | tuple[int, int], nn.Module] = {}
        for layer, (mine, its) in widths.items():
            maps.setdefault((mine, its) if self.shared else layer, self._map(mine, its))
        return Projections({layer: maps[width if self.shared else layer] for layer, width in widths.items()})

    def refusal(self, widths: Widths) -> str | None:
        """Why the widths cannot be brought together; None where they can."""
        different = sorted({width for width in widths.values() if width[0] != width[1]})
        if self.shared and len(different) > 1:
            return f"one projection is to serve layers of the widths {' and '.join(str(mine) for mine, _ in different)}"
        return None

    def _map(self, learner: int, teacher: int) -> nn.Module:
        if learner == teacher:
            return nn.Identity()
        linear = nn.Linear(learner, teacher)
        if self.orthogonal:
            nn.init.orthogonal_(linear.weight)
            nn.init.zeros_(linear.bias)
        return linear


@dataclass(frozen=True)
class Direct:
    """No projection: the widths have to agree."""

    def projections(self, widths: Widths) -> Projections:
        """Nothing for each layer."""
        return Projections({layer: nn.Identity() for layer in widths})

    def refusal(self, widths: Widths) -> str | None:
        """Why the widths cannot be compared; None where they can."""
        for layer, (mine, its) in widths.items():
            if mine != its:
                return f"layer {layer} of the learner is {mine} wide, the teacher's {its}, and nothing projects it"
        return None


Projector = Linear | Direct


def widths_of(pairs: list[tuple[int, int]], learner: Spec, teacher: Spec) -> Widths:
    """Of each paired layer of the learner: its width and its partners'.

    Raises:
        UserError: one layer has partners of different widths.
    """
    widths: dict[int, tuple[int, int]] = {}
    for mine, its in pairs:
        width = (learner.widths[mine], teacher.widths[its])
        if widths.setdefault(mine, width) != width:
            both = f"{widths[mine][1]} and {width[1]}"
            raise UserError(f"layer {mine} of the learner is paired with layers of the teacher {both} wide")
    return widths
