"""What the LSTM students share: layers without packing, and transformers models made of them."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import (
    BaseModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.utils import ModelOutput

from potstill import processor

Reader = Callable[[Tensor], Tensor]


class RecurrentConfig(PretrainedConfig):
    """Sizes of an LSTM student.

    Args:
        vocab_size: rows of the embedding table.
        embedding_size: width of a word's vector.
        hidden_size: width of the LSTM in each direction.
        num_hidden_layers: bidirectional layers.
        classifier_size: width of the layer before the logits.
        dropout: between layers, on the embeddings and before the logits.
        crf: where a classifier of tokens has transitions between tags, what their logits are: see `models.crf`.
    """

    def __init__(
        self,
        vocab_size: int = 30522,
        embedding_size: int = 300,
        hidden_size: int = 150,
        num_hidden_layers: int = 1,
        classifier_size: int = 200,
        dropout: float = 0.1,
        pad_token_id: int = 0,
        crf: str | None = None,
        **kwargs: Any,
    ):
        self.vocab_size, self.embedding_size = vocab_size, embedding_size
        self.hidden_size, self.num_hidden_layers = hidden_size, num_hidden_layers
        self.classifier_size, self.dropout = classifier_size, dropout
        self.pad_token_id, self.crf = pad_token_id, crf
        super().__init__(**kwargs)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden states, what goes into the first layer being the first."""
        return (self.embedding_size, *[2 * self.hidden_size] * self.num_hidden_layers)

    @property
    def feature_size(self) -> int:
        """Width of what the classifier reads."""
        return self.widths[-1]


class BidirectionalLayer(nn.Module):
    """An LSTM over the real positions in both directions, without packing.

    The backward half reads each row turned round within its own length, so that it starts at the
    last real token. Packed sequences would do the same, but need lengths on the CPU, which stalls a
    GPU, and leave the fused kernels of the CPU: 1.6 times slower in training at 32 rows of 28 tokens.
    """

    def __init__(self, input_size: int, hidden_size: int):
        super().__init__()
        self.forward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backward_lstm = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        """`[B, S, input]` to `[B, S, 2 * hidden]`; padded positions give zeros, without mask there are none."""
        return both_ways(partial(read, self.forward_lstm), partial(read, self.backward_lstm), states, mask)


def read(lstm: nn.LSTM, states: Tensor) -> Tensor:
    """An LSTM's states; in full precision under autocast on a CPU that has no other for it."""
    if states.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or processor.HAS_BFLOAT16:
        return lstm(states)[0]
    with torch.autocast("cpu", enabled=False):
        return lstm(states.float())[0]


def both_ways(ahead: Reader, back: Reader, states: Tensor, mask: Tensor | None) -> Tensor:
    """What two readers make of `[B, S, H]`, one from the first and one from the last real position on.

    Returns:
        Their states side by side, `[B, S, 2 * hidden]`; zeros at padded positions.
    """
    if mask is None:
        return torch.cat([ahead(states), back(states.flip(1)).flip(1)], dim=-1)
    turned = reversal(mask)
    return torch.cat([ahead(states), take(back(take(states, turned)), turned)], dim=-1) * mask.unsqueeze(-1)


def reversal(mask: Tensor) -> Tensor:
    """Positions `[B, S]` that turn each row round within its real length and leave padding in place."""
    positions = torch.arange(mask.shape[1], device=mask.device)
    mirrored = mask.sum(1, keepdim=True) - 1 - positions
    return torch.where(mask, mirrored.clamp(min=0), positions)


def take(states: Tensor, positions: Tensor) -> Tensor:
    """Of `[B, S, H]` the states at these positions `[B, P]`."""
    return states.gather(1, positions.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


def padding_mask(attention_mask: Tensor | None) -> Tensor | None:
    """The real positions `[B, S]`, or None where all are; on a GPU nobody looks, since that would stall it."""
    if attention_mask is None or (attention_mask.device.type == "cpu" and bool(attention_mask.all())):
        return None
    return attention_mask.bool()


def strongest(states: Tensor, mask: Tensor | None) -> Tensor:
    """Greatest value of `[B, S, H]` over the real positions, `[B, H]`."""
    if mask is None:
        return states.amax(1)
    return states.masked_fill(~mask.unsqueeze(-1), torch.finfo(states.dtype).min).amax(1)


class RecurrentPreTrainedModel(PreTrainedModel):
    """Saving, loading and initial weights."""

    config_class: type[RecurrentConfig] = RecurrentConfig
    base_model_prefix = "encoder"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                (nn.init.zeros_ if "bias" in name else nn.init.orthogonal_)(parameter)
            forget = slice(module.hidden_size, 2 * module.hidden_size)
            module.get_parameter("bias_ih_l0")[forget] = 1.0  # an open gate carries memory from the first step on


class RecurrentModel(RecurrentPreTrainedModel):
    """Embeddings and bidirectional layers."""

    def __init__(self, config: RecurrentConfig):
        super().__init__(config)
        self.embeddings = self.make_embeddings(config)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(self.make_layers(config))
        self.post_init()

    def read_widths(self, config: RecurrentConfig) -> tuple[int, ...]:
        """Width of what each layer reads."""
        return config.widths[:-1]

    def make_layers(self, config: RecurrentConfig) -> Iterable[nn.Module]:
        """What turns states and a mask of real positions into the next states, one after another."""
        return (BidirectionalLayer(width, config.hidden_size) for width in self.read_widths(config))

    def make_embeddings(self, config: RecurrentConfig) -> nn.Module:
        """What turns ids `[B, S]` into vectors of the first of `config.widths`."""
        return nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> BaseModelOutput:
        mask = padding_mask(attention_mask)
        states = [self.embeddings(input_ids)]
        for layer in self.layers:
            states.append(layer(self.dropout(states[-1]), mask))
        return BaseModelOutput(
            last_hidden_state=states[-1], hidden_states=tuple(states) if output_hidden_states else None
        )


class RecurrentWithClassifier(RecurrentPreTrainedModel):
    """The encoder and a classifier of two layers."""

    encoder_class: type[RecurrentModel] = RecurrentModel
    output_class: type[ModelOutput]
    auto_class: Any

    def __init__(self, config: RecurrentConfig):
        super().__init__(config)
        self.num_labels = config.num_labels
        self.encoder = self.encoder_class(config)
        self.classifier = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.feature_size, config.classifier_size),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.classifier_size, int(config.num_labels or 0)),
        )
        self.post_init()

    def features(self, states: Tensor, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """What the classifier reads of the last hidden states `[B, S, H]`: every one of them."""
        return states

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> Any:
        output = self.encoder(input_ids, attention_mask, output_hidden_states=output_hidden_states)
        logits = self.classifier(self.features(output.last_hidden_state, input_ids, attention_mask))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, logits=logits, pooled_logits=logits, config=self.config)
        return self.output_class(loss=loss, hidden_states=output.hidden_states, **self.named(logits))

    def named(self, logits: Tensor) -> dict[str, Tensor]:
        """The classifier's numbers as transformers calls them."""
        return {"logits": logits}


class RecurrentForTokenClassification(RecurrentWithClassifier):
    """Logits for every position, and perhaps how well one tag follows another, see `models.crf`."""

    output_class = TokenClassifierOutput
    auto_class = AutoModelForTokenClassification

    def __init__(self, config: RecurrentConfig):
        super().__init__(config)
        if config.crf:
            size = int(config.num_labels or 0) + 1
            self.transitions = nn.Parameter(torch.zeros(size, size))


class RecurrentForQuestionAnswering(RecurrentWithClassifier):
    """Two logits for every position: that the answer begins and that it ends there."""

    output_class = QuestionAnsweringModelOutput
    auto_class = AutoModelForQuestionAnswering

    def named(self, logits: Tensor) -> dict[str, Tensor]:
        start, end = logits.unbind(-1)
        return {"start_logits": start, "end_logits": end}


class RecurrentForSequenceClassification(RecurrentWithClassifier):
    """Logits for a text, from its strongest features over all positions."""

    output_class = SequenceClassifierOutput
    auto_class = AutoModelForSequenceClassification

    def features(self, states: Tensor, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        return strongest(states, padding_mask(attention_mask))


def register(*classifiers: type[RecurrentWithClassifier]) -> None:
    """Let transformers' Auto classes find a student by its config: the encoder, and a network for each task."""
    config, encoder = classifiers[0].config_class, classifiers[0].encoder_class
    AutoConfig.register(config.model_type, config)
    AutoModel.register(config, encoder)
    for classifier in classifiers:
        classifier.auto_class.register(config, classifier)
