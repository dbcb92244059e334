"""The losses in plain torch, for those sides that bring none of their own; the same formulas as Potstill's."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from bench.sides.task import Work

SCORES, GIVES = "scores", "gives_scores"


def soft_targets(learner: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """`T^2 KL(teacher || learner)` over `[B, C]` logits, averaged over rows."""
    p, q = F.log_softmax(teacher / temperature, dim=-1), F.log_softmax(learner / temperature, dim=-1)
    return F.kl_div(q, p, reduction="batchmean", log_target=True) * temperature**2


def hidden_mse(learner: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of `[B, S, H]` over real tokens `[B, S]`."""
    squares = (learner - teacher).square().mean(-1)
    return (squares * mask).sum() / mask.sum()


def attention_mse(learner: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Mean squared difference of `[B, heads, S, S]` over real pairs of tokens."""
    real = (mask[:, None, :, None] * mask[:, None, None, :]).bool().expand_as(learner)
    return torch.where(real, (learner - teacher).square(), 0).sum() / real.sum()


def scoring_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float = 1.0,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention that returns its scores before softmax in the layers that are compared; SDPA in all others."""
    if not getattr(module, GIVES, False):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **options
        )
    scores = query @ key.transpose(2, 3) * scaling
    masked = scores if attention_mask is None else scores + attention_mask
    probabilities = F.dropout(masked.softmax(-1), p=dropout, training=module.training)
    return (probabilities @ value).transpose(1, 2).contiguous(), scores


AttentionInterface.register(SCORES, scoring_attention)
AttentionMaskInterface.register(SCORES, eager_mask)


def give_scores(model: PreTrainedModel, layers: list[int]) -> None:
    """Make `output_attentions=True` give the scores of these layers, counted from 1, in their order."""
    if layers:
        model.set_attn_implementation(SCORES)
        for module in model.modules():
            layer: Any = getattr(module, "layer_idx", None)
            if layer is not None:
                setattr(module, GIVES, layer + 1 in layers)


def projections(work: Work, learner: PreTrainedModel, teacher: PreTrainedModel) -> nn.ModuleList:
    """A linear map for each pair of hidden states of different width, with Potstill's first weights."""
    torch.manual_seed(work.seed)
    mine, theirs = width(learner), width(teacher)
    return nn.ModuleList(nn.Identity() if mine == theirs else nn.Linear(mine, theirs) for _ in work.hidden)


def width(model: PreTrainedModel) -> int:
    """Of the hidden states behind the first layer."""
    widths = getattr(model.config, "widths", None)
    return widths[-1] if widths else model.config.hidden_size


def recording(work: Work) -> dict[str, bool]:
    """What the models have to be called with."""
    return {name: True for name in ("output_hidden_states",) if work.hidden} | {
        name: True for name in ("output_attentions",) if work.attention
    }


def knowledge(work: Work, maps: Any, learner: Any, teacher: Any, mask: Tensor) -> Tensor:
    """Soft targets and, where the work has them, hidden states and attention scores.

    Args:
        work: says which layers are compared.
        maps: from the learner's width to the teacher's.
        learner, teacher: outputs of transformers models, called with `recording`.
        mask: `[B, S]`.
    """
    loss = soft_targets(learner.logits, teacher.logits, work.settings["temperature"])
    for map_, (mine, theirs) in zip(maps, work.hidden, strict=True):
        loss = loss + hidden_mse(map_(learner.hidden_states[mine]), teacher.hidden_states[theirs], mask)
    for number in range(len(work.attention)):
        loss = loss + attention_mse(learner.attentions[number], teacher.attentions[number], mask)
    return loss
