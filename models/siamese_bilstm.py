"""A BiLSTM that reads the two texts of a pair apart and compares what it made of them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig
from transformers import PreTrainedTokenizerFast as Tokenizer
from transformers.modeling_outputs import BaseModelOutput

from models.bilstm import BiLSTM
from models.blueprint import Corpus, Draft
from models.recurrent import (
    RecurrentConfig,
    RecurrentForSequenceClassification,
    RecurrentModel,
    register,
    strongest,
    take,
)
from potstill.errors import UserError


class SiameseBiLSTMConfig(RecurrentConfig):
    """Sizes of a Siamese BiLSTM.

    Args:
        sep_token_id: of the token that ends the first text.
    """

    model_type = "potstill_siamese_bilstm"

    def __init__(self, sep_token_id: int = 102, **kwargs: Any):
        self.sep_token_id = sep_token_id
        super().__init__(**kwargs)

    @property
    def feature_size(self) -> int:
        """Both texts, their distance and their product."""
        return 4 * self.widths[-1]


class SiameseBiLSTMModel(RecurrentModel):
    """Embeddings, and bidirectional layers that start anew with the second text."""

    config_class: type[RecurrentConfig] = SiameseBiLSTMConfig

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> BaseModelOutput:
        texts = texts_of(input_ids, attention_mask, self.config.sep_token_id)
        states = [self.embeddings(input_ids)]
        for layer in self.layers:
            states.append(read_apart(layer, self.dropout(states[-1]), *texts))
        return BaseModelOutput(
            last_hidden_state=states[-1], hidden_states=tuple(states) if output_hidden_states else None
        )


class SiameseBiLSTMForSequenceClassification(RecurrentForSequenceClassification):
    """Logits for a pair, from the strongest features of either text."""

    config_class: type[RecurrentConfig] = SiameseBiLSTMConfig
    encoder_class = SiameseBiLSTMModel

    def features(self, states: Tensor, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        texts = texts_of(input_ids, attention_mask, self.config.sep_token_id)
        one, other = (strongest(states, text) * text.any(1, keepdim=True) for text in texts)
        return torch.cat([one, other, (one - other).abs(), one * other], -1)


def texts_of(input_ids: Tensor, attention_mask: Tensor | None, sep_token_id: int) -> tuple[Tensor, Tensor]:
    """The positions `[B, S]` of the first text, up to its end, and those of the second; there may be none of it."""
    real = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    ends = input_ids == sep_token_id
    second = (ends.cumsum(1) - ends.long() > 0) & real.bool()
    return real.bool() & ~second, second


def read_apart(layer: nn.Module, states: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """What a layer makes of `[B, S, H]` where it starts anew with the second text.

    Args:
        layer: of states and the real positions.
        states: of both texts.
        first, second: the positions `[B, S]` of either.
    """
    if second.device.type == "cpu" and not second.any():  # on a GPU nobody looks, since that would stall it
        return layer(states, first)
    positions = torch.arange(states.shape[1], device=states.device)
    begin = first.sum(1, keepdim=True)
    ahead = (positions + begin).clamp(max=len(positions) - 1)
    apart = torch.cat([positions.expand_as(ahead), ahead])
    real = torch.cat([first, positions < second.sum(1, keepdim=True)])
    back = (positions - begin).clamp(min=0)
    one, other = layer(take(states.repeat(2, 1, 1), apart), real).chunk(2)
    return one + take(other, back) * second.unsqueeze(-1)


register(SiameseBiLSTMForSequenceClassification)


def with_separator(config: PretrainedConfig, tokenizer: Tokenizer) -> PretrainedConfig:
    """A config that knows where the first text ends.

    Raises:
        UserError: the tokenizer does not mark that.
    """
    if tokenizer.sep_token_id is None:
        raise UserError("student: it reads two texts, and its tokenizer has no token between them; say student=bilstm")
    config.sep_token_id = tokenizer.sep_token_id
    return config


@dataclass(frozen=True)
class SiameseBiLSTM(BiLSTM):
    """A Siamese BiLSTM student, for pairs of texts.

    Paper: Tang et al., "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", 2019, arXiv
    1903.12136: one BiLSTM for both texts, then a hidden layer over both, their distance and their product. Where the
    paper joins the two last states, this student takes each feature's maximum over all positions of a text.
    """

    config_class: ClassVar[type[RecurrentConfig]] = SiameseBiLSTMConfig

    def tokenizer(self, teacher: Draft | None, corpus: Corpus) -> Tokenizer:
        if not corpus.pairs:
            raise UserError("student=siamese_bilstm: it compares two texts; name two columns: 'data.text=[one,other]'")
        return super().tokenizer(teacher, corpus)

    def config(self, tokenizer: Tokenizer, teacher: Draft | None) -> PretrainedConfig:
        return with_separator(super().config(tokenizer, teacher), tokenizer)
