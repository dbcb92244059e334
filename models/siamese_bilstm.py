"""A BiLSTM that reads the two texts of a pair apart and compares what it made of them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PretrainedConfig
from transformers import PreTrainedTokenizerFast as Tokenizer
from transformers.modeling_outputs import BaseModelOutput

from models.bilstm import BiLSTM
from models.blueprint import Corpus, Draft
from models.recurrent import (
    RecurrentConfig,
    RecurrentForSequenceClassification,
    RecurrentModel,
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
        first, second = texts_of(input_ids, attention_mask, self.config.sep_token_id)
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        begin = first.sum(1, keepdim=True)
        ahead = (positions + begin).clamp(max=len(positions) - 1)
        apart = torch.cat([positions.expand_as(ahead), ahead])
        real = torch.cat([first, positions < second.sum(1, keepdim=True)])
        back = (positions - begin).clamp(min=0)
        states = [self.embeddings(input_ids)]
        for layer in self.layers:
            one, other = layer(take(self.dropout(states[-1]).repeat(2, 1, 1), apart), real).chunk(2)
            states.append(one + take(other, back) * second.unsqueeze(-1))
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


AutoConfig.register(SiameseBiLSTMConfig.model_type, SiameseBiLSTMConfig)
AutoModel.register(SiameseBiLSTMConfig, SiameseBiLSTMModel)
AutoModelForSequenceClassification.register(SiameseBiLSTMConfig, SiameseBiLSTMForSequenceClassification)


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
        tokenizer = super().tokenizer(teacher, corpus)
        if tokenizer.sep_token_id is None:
            raise UserError("student=siamese_bilstm: its tokenizer has no token between two texts")
        return tokenizer

    def config(self, tokenizer: Tokenizer, teacher: Draft | None) -> PretrainedConfig:
        config = super().config(tokenizer, teacher)
        config.sep_token_id = tokenizer.sep_token_id
        return config
