"""A transformers model with its tokenizer, spoken to in `ModelOutput`."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models import crf, heads
from models.attention import AttentionRecord, record_attention
from models.exits import ExitHeads, mean_of_real
from models.output import ATTENTION, LOGITS, STATES, Field, Fields, ModelOutput, Spec, among
from models.pieces import present, to_words
from potstill import fingerprint

Encodings = Mapping[str, Mapping[str, Any]]

BESIDE = {"words", "word_count", "choices"}  # of an encoding, beside what the model reads

NO_MATTER = {"_name_or_path", "architectures", "dtype", "transformers_version"}  # of a config, to what a model says


class Network(nn.Module):
    """Runs a model on that encoding of a batch which its tokenizer made.

    Args:
        model: any transformers model with a classification head.
        tokenizer: its tokenizer.
        spec: what it gives.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, spec: Spec):
        super().__init__()
        self.model, self.tokenizer, self.spec = model, tokenizer, spec
        self.exits: ExitHeads | None = None

    def add_exits(self, layers: tuple[int, ...]) -> None:
        """Put an untrained exit after each of the layers."""
        widths = [self.spec.widths[layer] for layer in layers]
        self.exits = ExitHeads(layers, widths, self.spec.classes).to(next(self.parameters()).device)

    def reset_head(self) -> None:
        """Give what stands on top of the encoder new random weights."""
        shared = {id(parameter) for parameter in self.model.base_model.parameters()}
        for name, child in self.model.named_children():
            if name != self.model.base_model_prefix:
                for module in child.modules():
                    if isinstance(module, nn.Linear) and id(module.weight) not in shared:
                        module.reset_parameters()

    def freeze(self, parts: Sequence[str]) -> None:
        """Let some parts of the model keep their weights."""
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(not is_in(name, parts))

    def class_vectors(self) -> Tensor:
        """The rows `[C, H]` of the last layer, one for each class."""
        return class_layer(self.model, self.spec.classes).weight

    def record(self, fields: Fields) -> None:
        """Prepare to give these tensors of `ModelOutput`, and no slower ones than these."""
        record_attention(self.model, attention_layers(fields))

    def forward(self, encodings: Encodings, fields: Fields = frozenset()) -> ModelOutput:
        """What the model says of a batch.

        Args:
            encodings: token tensors `[B, S]` by tokenizer fingerprint; where logits are those of words with the
                `words` of the tokens and their `word_count` in the longest text; perhaps with `choices`, the classes
                `[B, C]` among which each text has one.
            fields: what to hand out beside the logits; attention only as `record` was told.
        """
        encoding, layers = encodings[self.spec.tokenizer], attention_layers(fields)
        inputs = {name: tensor for name, tensor in encoding.items() if name not in BESIDE}
        states = any(key.name in STATES for key in fields) or self.exits is not None
        with self._masked_alone(encoding):
            output = self.model(**inputs, output_hidden_states=states, output_attentions=bool(layers))
        mask = inputs["attention_mask"].bool()
        records = by_layer(output.attentions, layers, self.spec.layers) if layers else {}
        tensors = {key: _recorded(key, output.hidden_states, records, mask) for key in fields if key != LOGITS}
        about = what_about(self.spec.problem, encoding)
        result = ModelOutput.of({LOGITS: self._logits(output, encoding), **tensors}, mask, **about)
        self._chain(result)
        exits = self.exits(output.hidden_states, mask) if self.exits else ()
        result.exits = tuple(among(logits, result.choices) for logits in exits)
        return result

    @contextmanager
    def _masked_alone(self, encoding: Mapping[str, Any]) -> Iterator[None]:
        """A head over a vocabulary sees no other states than those of masked words: most of its work is saved."""
        if self.spec.problem != heads.MASKED:
            yield
            return

        def gather(module: nn.Module, inputs: Any, output: Any) -> Any:
            output.last_hidden_state = to_words(output.last_hidden_state, *_words_of(encoding), "first")
            return output

        handle = self.model.base_model.register_forward_hook(gather)
        try:
            yield
        finally:
            handle.remove()

    def _logits(self, output: Any, encoding: Mapping[str, Any]) -> Tensor:
        """Logits as `ModelOutput` has them."""
        match self.spec.problem:
            case heads.TAGS:
                return to_words(output.logits, *_words_of(encoding), "first")
            case heads.SPANS:
                both = torch.stack([output.start_logits, output.end_logits], -1)
                return to_words(both, *_words_of(encoding), "logsumexp").transpose(1, 2)
            case _:
                return output.logits

    def _chain(self, output: ModelOutput) -> None:
        """Let the tags of words depend on each other, where the model says how."""
        if self.spec.problem == heads.TAGS and (transitions := getattr(self.model, "transitions", None)) is not None:
            assert output.rows is not None
            output.chain = output.logits.float(), transitions.float()
            if self.model.config.crf == crf.MARGINALS:
                output.logits = crf.log_marginals(*output.chain, output.rows)

    def fingerprint(self) -> str:
        """Name of all that decides what the model says of an encoding: its weights and its config."""
        config = self.model.config.to_dict()
        decisive = {key: config[key] for key in config if key not in NO_MATTER}
        return fingerprint.of_value([fingerprint.of_tensors(self.model.state_dict()), decisive])

    def save(self, folder: Path) -> None:
        """Write model and tokenizer for `from_pretrained`, and beside them the exits where there are any."""
        self.record(frozenset())
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.exits:
            weights = {name: tensor.contiguous() for name, tensor in self.exits.state_dict().items()}
            save_file(weights, folder / "exits.safetensors", {"layers": ",".join(map(str, self.exits.layers))})


def class_layer(model: nn.Module, classes: int) -> nn.Linear:
    """The last layer of a model, which has a row for each class."""
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return [module for module in linear if module.out_features == classes][-1]


def _words_of(encoding: Mapping[str, Any]) -> tuple[Tensor, int]:
    return encoding["words"], encoding["word_count"]


def what_about(problem: str, encoding: Mapping[str, Any]) -> dict[str, Tensor]:
    """The `rows` or `choices` of a `ModelOutput` with logits for an encoding, where it has some."""
    if problem in heads.OF_POSITIONS:
        return {"choices" if problem == heads.SPANS else "rows": present(*_words_of(encoding))}
    return {"choices": encoding["choices"]} if "choices" in encoding else {}


def is_in(name: str, parts: Sequence[str]) -> bool:
    """Whether a parameter belongs to one of the modules, or is one of them."""
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def attention_layers(fields: Fields) -> set[int]:
    """The layers, counted from 1, whose attention these fields are about."""
    return {key.layer for key in fields if key.name in ATTENTION and key.layer is not None}


def by_layer(records: Sequence[AttentionRecord], asked: Set[int], layers: int) -> dict[int, AttentionRecord]:
    """Records by layer, counted from 1: of those asked for, or of all where the model cannot tell its layers apart."""
    numbers = range(1, layers + 1) if len(records) == layers else sorted(asked)
    return dict(zip(numbers, records, strict=True))


def _recorded(key: Field, states: Sequence[Tensor], records: Mapping[int, AttentionRecord], mask: Tensor) -> Tensor:
    assert key.layer is not None
    match key.name:
        case "hidden_states":
            return states[key.layer]
        case "mean_states":
            return mean_of_real(states[key.layer], mask)
        case "cls_states":
            return states[key.layer][:, 0]
        case _:
            return getattr(records[key.layer], key.name)


def parameter_count(module: nn.Module) -> int:
    """All numbers of a module's weights; shared ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())
