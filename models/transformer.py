"""Pretrained transformers, and small ones cut out of a teacher."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from models.blueprint import NO_TEXTS, Blueprint, Corpus, Draft
from models.heads import auto_model, problem_of
from models.network import Network, class_layer
from models.sources import Folder, Source
from models.words import word_tokenizer
from potstill import fingerprint
from potstill.errors import UserError, check_counts

LAYER = re.compile(r"^(.*\.layers?\.)(\d+)(\..*)$")
HEAD_WIDTH = 64
INNER_SIZES = ("intermediate_size", "hidden_dim", "ffn_dim", "d_ff")


@dataclass(frozen=True)
class Pretrained(Blueprint):
    """A transformer with the weights that a source holds.

    Args:
        source: package, Hub or folder.
        learning_rate: that suits its fine-tuning.
        part: of a classifier for several tasks, whose classes are called `PART/CLASS`, the one to take.
    """

    source: Source
    learning_rate: float = 5e-5
    part: str | None = None

    def tokenizer(self, teacher: Draft | None, corpus: Corpus) -> PreTrainedTokenizerFast:
        tokenizer = self._read(AutoTokenizer)
        if len(tokenizer) <= len(tokenizer.all_special_ids):  # what transformers makes up where there is none
            raise UserError(f"model {self.source.location()}: no tokenizer there; save the model's beside it")
        return tokenizer

    def config(self, tokenizer: PreTrainedTokenizerFast, teacher: Draft | None) -> PretrainedConfig:
        config = self._read(AutoConfig)
        if self.part is not None:
            config.id2label = dict(enumerate(self._rows_of_part(config)))
        return config

    def origin(self, draft: Draft) -> str:
        return f"weights from {self.source.location()}" + (f", the classes of {self.part}" if self.part else "")

    def weights(self, draft: Draft, teacher: Network | None) -> PreTrainedModel:
        if self.part is None:
            return self._read(auto_model(draft.problem), config=draft.config)
        model = self._read(auto_model(draft.problem))
        keep_classes(model, list(self._rows_of_part(model.config).values()))
        model.config = draft.config
        return model

    def _rows_of_part(self, config: PretrainedConfig) -> dict[str, int]:
        """The classes of the part, and which of all they are."""
        names = {int(number): str(label).partition("/") for number, label in (config.id2label or {}).items()}
        rows = {label: number for number, (part, _, label) in names.items() if part == self.part and label}
        if not rows:
            known = ", ".join(dict.fromkeys(part for part, _, label in names.values() if label)) or "none"
            raise UserError(f"model {self.source.location()}: it has no part {self.part!r}; there are {known}")
        return rows

    def _read(self, kind: Any, **options: Any) -> Any:
        location = self.source.location()
        try:
            return kind.from_pretrained(location, **options)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"model {location}: {reason} A folder goes in by teacher=local teacher.path=…") from error


@dataclass(frozen=True)
class SmallTransformer(Blueprint):
    """A transformer of the teacher's kind with fewer or narrower layers; a BERT where there is no teacher.

    Where its width is the teacher's, every weight starts from the fine-tuned teacher's, the layers
    from chosen ones. Taking layers 0, 2, 4, 7, 9, 11 of 12 is DistilBERT's choice (Sanh et al., 2019,
    arXiv 1910.01108), which even spacing from the first to the last gives for any pair of depths.

    Args:
        num_hidden_layers: how many layers.
        hidden_size: their width; the teacher's where not given.
        num_attention_heads: the teacher's where the width is, else one per 64 of it.
        intermediate_size: width inside the feed-forward part; the teacher's where the width is, else four times it.
        teacher_layers: which of the teacher's layers to start from, counted from 0; evenly spaced where
            not given; an empty list starts from random weights.
        vocabulary_size: how many words, where there is no teacher to take the tokenizer from.
        learning_rate: that suits this architecture.
    """

    num_hidden_layers: int = 2
    hidden_size: int | None = None
    num_attention_heads: int | None = None
    intermediate_size: int | None = None
    teacher_layers: Sequence[int] | None = None
    vocabulary_size: int = 20_000
    learning_rate: float = 5e-5

    def __post_init__(self) -> None:
        sizes = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocabulary_size")
        check_counts("student", self, [size for size in sizes if getattr(self, size) is not None])

    def tokenizer(self, teacher: Draft | None, corpus: Corpus) -> PreTrainedTokenizerFast:
        return teacher.tokenizer if teacher else word_tokenizer(corpus.texts(), self.vocabulary_size)

    def config(self, tokenizer: PreTrainedTokenizerFast, teacher: Draft | None) -> PretrainedConfig:
        config = copy.deepcopy(teacher.config) if teacher else BertConfig(vocab_size=len(tokenizer), hidden_size=256)
        width, given = config.hidden_size, self.hidden_size or config.hidden_size
        keeps = teacher is not None and given == width
        config.hidden_size = given
        config.num_attention_heads = self.num_attention_heads or (
            config.num_attention_heads if keeps else max(1, given // HEAD_WIDTH)
        )
        inner = inner_size(config)
        setattr(config, inner, self.intermediate_size or (getattr(config, inner) if keeps else 4 * given))
        if given % config.num_attention_heads:
            heads = config.num_attention_heads
            raise UserError(f"student.num_attention_heads: {heads} heads do not divide student.hidden_size {given}")
        config.num_hidden_layers = self.num_hidden_layers
        layers = self._start(config, teacher)  # refuses what cannot be before any weight is loaded
        if kinds := getattr(config, "layer_types", None):
            config.layer_types = [kinds[layer] for layer in layers or range(self.num_hidden_layers)]
        return config

    def origin(self, draft: Draft) -> str:
        layers = self._start(draft.config, draft.teacher)
        return f"the teacher's layers {', '.join(map(str, layers))}" if layers else "random weights"

    def weights(self, draft: Draft, teacher: Network | None) -> PreTrainedModel:
        model = auto_model(draft.problem).from_config(draft.config)
        layers = self._start(draft.config, draft.teacher)
        if layers:
            assert teacher is not None
            copied = chosen_layers(teacher.model.state_dict(), layers)
            model.load_state_dict({name: copied[name] for name in model.state_dict()})
        return model

    def _start(self, config: PretrainedConfig, teacher: Draft | None) -> tuple[int, ...]:
        """The teacher's layers to start from; none where the two do not fit."""
        fitting = teacher if teacher and same_widths(config, teacher.config) else None
        if self.teacher_layers is None and fitting:
            return evenly_spaced(self.num_hidden_layers, fitting.spec.layers)
        if not self.teacher_layers:
            return ()
        if fitting is None:
            raise UserError("student.teacher_layers: only a student as wide as its teacher can start from its layers")
        if len(self.teacher_layers) != self.num_hidden_layers:
            raise UserError(
                f"student.teacher_layers: {len(self.teacher_layers)} layers given "
                f"for student.num_hidden_layers={self.num_hidden_layers}"
            )
        if not all(0 <= layer < fitting.spec.layers for layer in self.teacher_layers):
            raise UserError(f"student.teacher_layers: the teacher's layers are 0 to {fitting.spec.layers - 1}")
        return tuple(self.teacher_layers)


def keep_classes(model: PreTrainedModel, rows: Sequence[int]) -> None:
    """Take all other rows out of a classifier's last layer."""
    layer = class_layer(model, len(model.config.id2label or ()))
    layer.weight = nn.Parameter(layer.weight[rows].detach())
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[rows].detach())
    layer.out_features = len(rows)
    model.num_labels = len(rows)  # type: ignore[assignment]


def same_widths(one: PretrainedConfig, other: PretrainedConfig) -> bool:
    """Whether layers of one fit into the other."""
    names = ("model_type", "hidden_size", "num_attention_heads", inner_size(one))
    return all(getattr(one, name, None) == getattr(other, name, None) for name in names)


def inner_size(config: PretrainedConfig) -> str:
    """What the width inside the feed-forward part is called in this config."""
    return next(name for name in INNER_SIZES if hasattr(config, name))


def evenly_spaced(count: int, layers: int) -> tuple[int, ...]:
    """`count` of the layers 0 to `layers` - 1, the first and the last among them."""
    if count > layers:
        raise UserError(f"student.num_hidden_layers: {count} layers, but the teacher has only {layers} to start from")
    return tuple(int(position) for position in torch.linspace(0, layers - 1, count).round())


def chosen_layers(state: dict[str, Tensor], layers: Sequence[int]) -> dict[str, Tensor]:
    """The state of a transformer that keeps only these layers, renumbered; all else as it is.

    Layers are told by transformers' names: `….layer.3.…` or `….layers.3.…`.
    """
    chosen = {}
    for name, tensor in state.items():
        match = LAYER.match(name)
        if match is None:
            chosen[name] = tensor
            continue
        before, number, after = match.groups()
        for new, old in enumerate(layers):
            if int(number) == old:
                chosen[f"{before}{new}{after}"] = tensor
    return chosen


def load(folder: Path, part: str | None = None) -> Network:
    """A network that was saved with `Network.save`, without its exits; perhaps with the classes of one part alone."""
    blueprint = Pretrained(Folder(str(folder)), part=part)
    tokenizer = blueprint.tokenizer(None, NO_TEXTS)
    config, segmentation = blueprint.config(tokenizer, None), fingerprint.of_tokenizer(tokenizer)
    return Draft(blueprint, tokenizer, config, segmentation, problem=problem_of(config)).network()
