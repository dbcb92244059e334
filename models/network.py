"""A transformers model with its tokenizer, spoken to in `ModelOutput`."""

from collections.abc import Mapping, Set
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from models.attention import record_attention
from models.exits import ExitHeads
from models.output import ModelOutput, Spec

Encodings = Mapping[str, Mapping[str, Tensor]]


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
        for name, child in self.model.named_children():
            if name != self.model.base_model_prefix:
                for module in child.modules():
                    if isinstance(module, nn.Linear):
                        module.reset_parameters()

    def record(self, fields: Set[str]) -> None:
        """Prepare to give these fields of `ModelOutput`, and no slower ones than these."""
        record_attention(self.model, "attentions" in fields)

    def forward(self, encodings: Encodings, fields: Set[str] = frozenset()) -> ModelOutput:
        """What the model says of a batch.

        Args:
            encodings: token tensors `[B, S]` by tokenizer fingerprint.
            fields: what to record beside the logits.
        """
        inputs = encodings[self.spec.tokenizer]
        output = self.model(
            **inputs,
            output_hidden_states="hidden_states" in fields or self.exits is not None,
            output_attentions="attentions" in fields,
        )
        mask = inputs["attention_mask"].bool()
        return ModelOutput(
            logits=output.logits,
            mask=mask,
            hidden_states=output.hidden_states if "hidden_states" in fields else None,
            attentions=output.attentions if "attentions" in fields else None,
            exits=self.exits(output.hidden_states, mask) if self.exits else (),
        )

    def save(self, folder: Path) -> None:
        """Write model and tokenizer for `from_pretrained`, and beside them the exits where there are any."""
        self.record(frozenset())
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        if self.exits:
            weights = {name: tensor.contiguous() for name, tensor in self.exits.state_dict().items()}
            save_file(weights, folder / "exits.safetensors", {"layers": ",".join(map(str, self.exits.layers))})


def parameter_count(module: nn.Module) -> int:
    """All numbers of a module's weights; shared ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())
