"""What schemes with several networks have in common: who they are, and what they say together."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from kd.schemes.base import STUDENT, TEACHER, Scheme
from models.blueprint import Blueprint
from models.output import ModelOutput, among
from potstill.errors import UserError

SMALLEST = 1e-30


def peers_of(peers: Mapping[str, Blueprint] | None) -> dict[str, Blueprint | None]:
    """The peers by name; one copy of the student, called `peer`, where none is given.

    Raises:
        UserError: a name is taken or none.
    """
    check_names("scheme.peers", peers or {})
    return dict(peers) if peers else {"peer": None}


def check_names(key: str, names: Iterable[str]) -> None:
    """Refuse names that mean something else already."""
    for name in names:
        if name in (STUDENT, TEACHER) or not str(name).isidentifier():
            raise UserError(f"{key}: {name!r} cannot be a network's name here; take another one, e.g. second")


def learners(scheme: Scheme) -> tuple[str, ...]:
    """All that train: the student and its peers."""
    return (STUDENT, *scheme.peers())


def mean_of_probabilities(logits: Sequence[Tensor], weights: Tensor | None = None, temperature: float = 1.0) -> Tensor:
    """Logits whose softmax at a temperature is the mean of the members' softmax at that temperature.

    Args:
        logits: of each member, `[B, C]`.
        weights: of the members, `[K]` or, row by row, `[B, K]`, summing to 1; equal where not given.
    """
    stacked = torch.stack([F.log_softmax(each.float() / temperature, dim=-1) for each in logits], dim=-2)
    return temperature * torch.logsumexp(stacked + shares(weights, stacked).log().unsqueeze(-1), dim=-2)


def mean_of_logits(logits: Sequence[Tensor], weights: Tensor | None = None) -> Tensor:
    """The weighted mean; `weights` as for `mean_of_probabilities`."""
    stacked = torch.stack([each.float() for each in logits], dim=-2)
    return (stacked * shares(weights, stacked).unsqueeze(-1)).sum(-2)


def shares(weights: Tensor | None, stacked: Tensor) -> Tensor:
    """Weights of the members of `[…, K, C]`, none of them exactly 0."""
    if weights is None:
        return stacked.new_full((stacked.shape[-2],), 1 / stacked.shape[-2])
    return weights.clamp(min=SMALLEST)


def saying(logits: Tensor, like: ModelOutput, members: Iterable[ModelOutput] = ()) -> ModelOutput:
    """An output of these logits alone, out of reach of any gradient, for the texts of another one.

    Of words, those that the members have, too, of whose logits these are made.
    """
    rows, choices = (_common([getattr(each, name) for each in (like, *members)]) for name in ("rows", "choices"))
    return ModelOutput(logits.detach(), like.mask, rows=rows, choices=choices)


def choosable(logits: Tensor, members: Sequence[ModelOutput]) -> Tensor:
    """Logits made of those of members, of what all of them can choose."""
    return among(logits, _common([member.choices for member in members]))


def _common(masks: Sequence[Tensor | None]) -> Tensor | None:
    return None if masks[0] is None else torch.stack([mask for mask in masks if mask is not None]).all(0)
