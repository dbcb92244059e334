"""What every model gives, whatever its architecture, and what it would give before it has weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from models import crf
from models.heads import ONE_CLASS

NEVER = -1e4  # the logit of what cannot be chosen; half precision can hold it
LAYERWISE = {  # field of ModelOutput -> which of its tensors' dimensions count positions
    "hidden_states": (1,),
    "mean_states": (),
    "cls_states": (),
    "attention_scores": (2, 3),
    "queries": (2,),
    "keys": (2,),
    "values": (2,),
}
STATES = frozenset({"hidden_states", "mean_states", "cls_states"})
ATTENTION = frozenset({"attention_scores", "queries", "keys", "values"})


@dataclass(frozen=True, order=True)
class Field:
    """One tensor of a `ModelOutput`: `logits`, or one layer of one of its other fields.

    Args:
        name: of the field.
        layer: 0 for the embeddings, l for what layer l gives; attention begins at 1.
    """

    name: str
    layer: int | None = None

    def __str__(self) -> str:
        return self.name if self.layer is None else f"{self.name}.{self.layer}"

    @classmethod
    def parse(cls, text: str) -> "Field":
        """The field that is written so."""
        name, _, layer = text.partition(".")
        return cls(name, int(layer) if layer else None)


LOGITS = Field("logits")
Fields = frozenset[Field]


@dataclass
class ModelOutput:
    """What a model says of a batch; nothing is recorded unless somebody requires it.

    All but logits, mask and exits are tensors by layer: 0 the embeddings, l what layer l gives.

    Args:
        logits: `[B, C]`; `[B, W, C]` for each word of the texts; or `[B, 2, W]` of words that a span begins and ends
            with. Before softmax, which is over the last dimension.
        mask: `[B, S]` bool, the real positions.
        hidden_states: `[B, S, H]`.
        mean_states: `[B, H]`, the hidden states' mean over real positions.
        cls_states: `[B, H]`, the hidden states of the first position.
        attention_scores: `[B, heads, S, S]`, before mask and softmax.
        queries, keys, values: `[B, heads, S, D]`.
        exits: logits of the early exits, shallow to deep.
        rows: `[B, W]` bool, which words of `[B, W, C]` logits there are; None where a text has one row of them.
        choices: `[B, W]` or `[B, C]` bool, which words or classes a text chooses among; None where all choose among the
            same.
        chain: of tags that depend on each other what scores them, see `models.crf`: emissions `[B, W, C]` and
            transitions.
    """

    logits: Tensor
    mask: Tensor
    hidden_states: Mapping[int, Tensor] = field(default_factory=dict)
    mean_states: Mapping[int, Tensor] = field(default_factory=dict)
    cls_states: Mapping[int, Tensor] = field(default_factory=dict)
    attention_scores: Mapping[int, Tensor] = field(default_factory=dict)
    queries: Mapping[int, Tensor] = field(default_factory=dict)
    keys: Mapping[int, Tensor] = field(default_factory=dict)
    values: Mapping[int, Tensor] = field(default_factory=dict)
    exits: tuple[Tensor, ...] = ()
    rows: Tensor | None = None
    choices: Tensor | None = None
    chain: tuple[Tensor, Tensor] | None = None

    def __getitem__(self, key: Field) -> Tensor:
        value = getattr(self, key.name)
        return value if key.layer is None else value[key.layer]

    @classmethod
    def of(
        cls, tensors: Mapping[Field, Tensor], mask: Tensor, rows: Tensor | None = None, choices: Tensor | None = None
    ) -> Self:
        """The output made of single tensors; without logits among them they are empty.

        Args:
            tensors: by field.
            mask: `[B, S]`.
            rows, choices: what the logits are about; those of what cannot be chosen are set to `NEVER`.
        """
        layers: dict[str, Any] = {name: {} for name in LAYERWISE}
        for key, tensor in tensors.items():
            if key.layer is not None:
                layers[key.name][key.layer] = tensor
        logits = tensors.get(LOGITS, mask.new_empty(0, dtype=torch.float))
        return cls(among(logits, choices), mask, **layers, rows=rows, choices=choices)

    def sequence_dimensions(self, key: Field) -> tuple[int, ...]:
        """Which of a tensor's dimensions count positions: tokens, or of logits words."""
        if key != LOGITS:
            return LAYERWISE[key.name]
        if self.logits.dim() == 2:
            return ()
        return (1,) if self.choices is None else (2,)

    def detach(self) -> Self:
        """The same values, out of reach of any gradient."""
        return self._mapped(Tensor.detach)

    def float(self) -> Self:
        """The same values in float32; the mask stays bool."""
        return self._mapped(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def given(self, labels: Tensor) -> Tensor:
        """The logits by which labels are scored: the cross-entropy at each is the loss on it."""
        return crf.given(*self.chain, labels) if self.chain else self.logits

    @property
    def deciding(self) -> Tensor:
        """The logits the greatest of which are the answer."""
        return crf.best(*self.chain, self.rows) if self.chain and self.rows is not None else self.logits

    def at_exit(self, number: int) -> Self:
        """What the network would give, were it cut where its exit `number` is."""
        return replace(self, logits=self.exits[number], exits=())

    def _mapped(self, change: Callable[[Tensor], Tensor]) -> Self:
        return type(self)(**{part.name: _mapped(getattr(self, part.name), change) for part in fields(self)})


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
        segmentation: fingerprint of the tokenizer that cuts the training texts at the same places.
        provides: those fields of `ModelOutput` that it can fill.
        problem: what the logits are about, see `models.heads`.
    """

    kind: str
    widths: tuple[int, ...]
    heads: int | None
    parameters: int
    classes: int
    tokenizer: str
    segmentation: str
    provides: frozenset[str]
    problem: str = ONE_CLASS

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


def among(logits: Tensor, choices: Tensor | None, never: float = NEVER) -> Tensor:
    """The logits `[B, N]` or `[B, 2, N]`, `never` where a text cannot choose; there may be none.

    Args:
        logits: of words or classes.
        choices: `[B, N]` bool; None where everything can be chosen.
        never: the logit of what cannot.
    """
    if choices is None or not logits.numel():
        return logits
    return logits.masked_fill(~(choices if logits.dim() == 2 else choices.unsqueeze(1)), never)


def _mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    return tuple(_mapped(item, change) for item in value)
