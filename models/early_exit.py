"""A network cut at one of its exits: the layers above are gone, and the exit answers."""

import copy
from pathlib import Path
from typing import Any, cast

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from models.exits import mean_of_real
from models.network import Network
from models.transformer import load


class CutModel(nn.Module):
    """An encoder and the classifier of an exit, spoken to as transformers' models are.

    Args:
        encoder: gives hidden states.
        head: from the mean of the last ones over real positions to logits.
    """

    def __init__(self, encoder: PreTrainedModel, head: nn.Module):
        super().__init__()
        self.encoder, self.head, self.config = encoder, head, encoder.config

    def forward(
        self, attention_mask: Tensor, output_hidden_states: bool = False, output_attentions: bool = False, **inputs: Any
    ) -> SequenceClassifierOutput:
        """Logits `[B, C]`; no attention."""
        states = self.encoder(attention_mask=attention_mask, output_hidden_states=True, **inputs).hidden_states
        logits = self.head(mean_of_real(states[-1], attention_mask.bool()))
        return SequenceClassifierOutput(logits=logits, hidden_states=states if output_hidden_states else None)


def cut(network: Network, number: int) -> Network:
    """The network as it is up to one of its exits, counted from 0; the two share no weights of the encoder."""
    assert network.exits is not None
    layer = network.exits.layers[number]
    config = copy.deepcopy(network.model.config)
    config.num_hidden_layers = layer
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layer]
    model, state = AutoModelForSequenceClassification.from_config(config), network.model.state_dict()
    model.load_state_dict({name: state[name] for name in model.state_dict()})
    shorter = CutModel(model.base_model, network.exits.heads[number])
    return Network(cast(PreTrainedModel, shorter), network.tokenizer, network.spec.at_exit(layer)).eval()


def load_exits(folder: Path) -> dict[str, Network]:
    """For each exit that was saved with a student, the student cut there: `exit1` after its first layer."""
    path = folder / "exits.safetensors"
    if not path.is_file():
        return {}
    with safe_open(path, "pt") as file:
        layers = tuple(map(int, file.metadata()["layers"].split(",")))
    network = load(folder)
    network.add_exits(layers)
    assert network.exits is not None
    network.exits.load_state_dict(load_file(path))
    return {f"exit{layer}": cut(network, number) for number, layer in enumerate(layers)}
