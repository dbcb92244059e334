"""Attention that hands out its scores before softmax, for models that use transformers' AttentionInterface."""

import re
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, eager_mask

RECORDING = "recording"
LAYER = re.compile(r"\.layers?\.(\d+)\.")


@dataclass
class AttentionRecord:
    """One layer's self-attention, under the names of `ModelOutput`."""

    attention_scores: Tensor
    queries: Tensor
    keys: Tensor
    values: Tensor


def recording_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **options: Any,
) -> tuple[Tensor, AttentionRecord | None]:
    """Scaled dot-product attention over `[B, heads, S, D]` that also returns what it computed on the way.

    Where transformers' own implementations return probabilities after dropout, or nothing, this one
    returns an `AttentionRecord`, which `output_attentions=True` collects layer by layer. In layers
    that nobody reads it is SDPA and returns none.
    """
    if not getattr(module, "records_attention", True):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    groups = getattr(module, "num_key_value_groups", 1)  # queries that share a key
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scale = query.size(-1) ** -0.5 if scaling is None else scaling
    scores = query @ key.transpose(2, 3) * scale
    masked = scores if attention_mask is None else scores + attention_mask
    probabilities = nn.functional.dropout(masked.softmax(-1), p=dropout, training=module.training)
    output = (probabilities.to(value.dtype) @ value).transpose(1, 2).contiguous()
    return output, AttentionRecord(scores, query, key, value)


AttentionInterface.register(RECORDING, recording_attention)
AttentionMaskInterface.register(RECORDING, eager_mask)


def can_record(model: nn.Module) -> bool:
    """Whether the model looks its attention up in transformers' AttentionInterface."""
    return bool(getattr(model, "_supports_attention_backend", False))


def record_attention(model: PreTrainedModel, layers: Set[int]) -> None:
    """Make the self-attention of these layers, counted from 1, return its record; all others run SDPA."""
    if layers:
        model.set_attn_implementation(RECORDING)
        for name, module in model.named_modules():
            if found := LAYER.search(f"{name}."):
                module.records_attention = int(found[1]) + 1 in layers
    elif model.config._attn_implementation == RECORDING:
        model.set_attn_implementation("sdpa")
