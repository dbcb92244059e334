"""What every model gives, whatever its architecture, and what it would give before it has weights."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from torch import Tensor


@dataclass
class AttentionRecord:
    """One layer's self-attention: `scores` `[B, heads, S, S]` before mask and softmax; q, k, v `[B, heads, S, D]`."""

    scores: Tensor
    query: Tensor
    key: Tensor
    value: Tensor


@dataclass
class ModelOutput:
    """What a model says of a batch; nothing is recorded unless somebody requires it.

    Args:
        logits: `[B, C]`, before softmax.
        mask: `[B, S]` bool, the real positions.
        hidden_states: layers + 1 of `[B, S, H]`, embeddings first, or None.
        attentions: one record a layer, or None.
        exits: logits of the early exits, shallow to deep.
    """

    logits: Tensor
    mask: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[AttentionRecord, ...] | None = None
    exits: tuple[Tensor, ...] = ()

    def detach(self) -> Self:
        """The same values, out of reach of any gradient."""
        return _mapped(self, Tensor.detach)

    def float(self) -> Self:
        """The same values in float32; the mask stays bool."""
        return _mapped(self, lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def at_exit(self, number: int, layer: int) -> "ModelOutput":
        """What the network would give, were it cut after `layer`, where its exit `number` is."""
        return ModelOutput(
            logits=self.exits[number],
            mask=self.mask,
            hidden_states=None if self.hidden_states is None else self.hidden_states[: layer + 1],
            attentions=None if self.attentions is None else self.attentions[:layer],
        )


@dataclass(frozen=True)
class Spec:
    """What a model would give, known from its config before any weight is loaded.

    Args:
        kind: transformers' `model_type`.
        widths: of the hidden states, embeddings first: one more than there are layers.
        heads: of its attention, or None.
        parameters: how many.
        classes: C of its logits.
        tokenizer: fingerprint of its tokenizer.
        provides: those fields of `ModelOutput` that it can fill.
    """

    kind: str
    widths: tuple[int, ...]
    heads: int | None
    parameters: int
    classes: int
    tokenizer: str
    provides: frozenset[str]

    @property
    def layers(self) -> int:
        """How many layers, the embeddings not counted."""
        return len(self.widths) - 1

    def at_exit(self, layer: int) -> "Spec":
        """The spec of the network, were it cut after `layer`."""
        return replace(self, widths=self.widths[: layer + 1])

    def __str__(self) -> str:
        layers = f"{self.layers} layer{'' if self.layers == 1 else 's'}"
        heads = f", {self.heads} heads" if self.heads else ""
        return f"{self.kind}, {layers}, width {self.widths[-1]}{heads}, {self.parameters / 1e6:.1f} M parameters"


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_mapped(item, change) for item in value)
    if isinstance(value, ModelOutput | AttentionRecord):
        return type(value)(**{field.name: _mapped(getattr(value, field.name), change) for field in fields(value)})
    return value
