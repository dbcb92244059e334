"""A BiLSTM whose words look at those of the other text, or of their own."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers import PreTrainedTokenizerFast as Tokenizer
from transformers.modeling_outputs import BaseModelOutput

from models.bilstm import BiLSTM
from models.blueprint import Draft
from models.exits import mean_of_real
from models.recurrent import RecurrentConfig, RecurrentForSequenceClassification, RecurrentModel, register, strongest
from models.siamese_bilstm import SiameseBiLSTMConfig, read_apart, texts_of, with_separator
from potstill.errors import UserError


class AttentiveBiLSTMConfig(SiameseBiLSTMConfig):
    """Sizes of an attentive BiLSTM."""

    model_type = "potstill_attentive_bilstm"

    def __init__(self, **kwargs: Any):  # transformers would make one up that knows no defaults
        super().__init__(**kwargs)

    @property
    def feature_size(self) -> int:
        """Three summaries of each text."""
        return 6 * self.widths[-1]


class AttentiveBiLSTMModel(RecurrentModel):
    """Embeddings, layers that encode each text, attention, and a last layer that integrates what it found."""

    config_class: type[RecurrentConfig] = AttentiveBiLSTMConfig

    def read_widths(self, config: RecurrentConfig) -> tuple[int, ...]:
        return (*config.widths[:-2], 3 * config.widths[-2])

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> BaseModelOutput:
        texts = texts_of(input_ids, attention_mask, self.config.sep_token_id)
        *encoding, integrating = self.layers
        states = [self.embeddings(input_ids)]
        for layer in encoding:
            states.append(read_apart(layer, self.dropout(states[-1]), *texts))
        encoded = states[-1]
        found = looked_at(encoded, *texts)
        both = torch.cat([encoded, encoded - found, encoded * found], -1)
        states.append(read_apart(integrating, self.dropout(both), *texts))
        return BaseModelOutput(
            last_hidden_state=states[-1], hidden_states=tuple(states) if output_hidden_states else None
        )


class AttentiveBiLSTMForSequenceClassification(RecurrentForSequenceClassification):
    """Logits for a text or a pair, from the strongest, the mean and the most telling features of each."""

    config_class: type[RecurrentConfig] = AttentiveBiLSTMConfig
    encoder_class = AttentiveBiLSTMModel

    def __init__(self, config: RecurrentConfig):
        super().__init__(config)
        self.telling = nn.Linear(config.widths[-1], 1)
        self.post_init()

    def features(self, states: Tensor, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        summaries: list[Tensor] = []
        for text in texts_of(input_ids, attention_mask, self.config.sep_token_id):
            weights = weights_over(self.telling(states).squeeze(-1), text).unsqueeze(1)
            strong = strongest(states, text) * text.any(1, keepdim=True)
            summaries += [strong, mean_of_real(states, text), (weights @ states).squeeze(1)]
        return torch.cat(summaries, -1)


def looked_at(states: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """For each word the mean of the other text's states, or of its own text's where there is no other one.

    Weights are the softmax of the products of states.

    Args:
        states: `[B, S, H]`.
        first, second: the positions `[B, S]` of either text.
    """
    pair = second.any(1)[:, None, None]
    real = first | second
    across = first.unsqueeze(2) & second.unsqueeze(1) | second.unsqueeze(2) & first.unsqueeze(1)
    visible = torch.where(pair, across, real.unsqueeze(2) & real.unsqueeze(1))
    return weights_over(states @ states.transpose(1, 2), visible) @ states


def weights_over(scores: Tensor, visible: Tensor) -> Tensor:
    """Softmax over what is visible in the last dimension; zeros where nothing is."""
    scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    return scores.softmax(-1) * visible


register(AttentiveBiLSTMForSequenceClassification)


@dataclass(frozen=True)
class AttentiveBiLSTM(BiLSTM):
    """A BiLSTM student with attention, for texts and for pairs of texts.

    Paper: Liu et al., "Attentive Student Meets Multi-Task Teacher", 2019, arXiv 1911.03588, whose student is the
    biattentive classification network of McCann et al. (2017, arXiv 1708.00107): a BiLSTM reads each text, each word
    looks at the other text, or at its own where there is but one, a second BiLSTM integrates `[x, x - c, x * c]`, and
    the classifier reads summaries of both: here three, no minimum, and through a plain hidden layer, no maxout.
    """

    num_hidden_layers: int = 2

    config_class: ClassVar[type[RecurrentConfig]] = AttentiveBiLSTMConfig

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_hidden_layers < 2:
            raise UserError("student.num_hidden_layers: two at least, one that encodes and one that integrates")

    def config(self, tokenizer: Tokenizer, teacher: Draft | None) -> PretrainedConfig:
        return with_separator(super().config(tokenizer, teacher), tokenizer)
