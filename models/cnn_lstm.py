"""A convolution over the characters of each word beside its embedding, and BiLSTM layers on both."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
)
from transformers import PreTrainedTokenizerBase as Tokenizer

from models.blueprint import RecurrentBlueprint
from models.recurrent import (
    RecurrentConfig,
    RecurrentForQuestionAnswering,
    RecurrentForSequenceClassification,
    RecurrentForTokenClassification,
    RecurrentModel,
    register,
)

BYTES = 256
MARKS = ("##", "Ġ", "▁")


class CNNLSTMConfig(RecurrentConfig):
    """Sizes of a CNN-LSTM: those of the LSTM, and of the convolution over characters.

    Args:
        character_size: width of a character's vector.
        character_filters: channels of the convolution.
        character_kernel: characters that a filter sees at once.
        word_length: UTF-8 bytes of a word that are read.
    """

    model_type = "potstill_cnn_lstm"

    def __init__(
        self,
        character_size: int = 16,
        character_filters: int = 128,
        character_kernel: int = 3,
        word_length: int = 12,
        **kwargs: Any,
    ):
        self.character_size, self.character_filters = character_size, character_filters
        self.character_kernel, self.word_length = character_kernel, word_length
        super().__init__(**kwargs)

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the hidden states; the first layer reads word and character features."""
        return (self.embedding_size + self.character_filters, *super().widths[1:])


class WordAndCharacterEmbeddings(nn.Module):
    """A word's vector beside the strongest responses of a convolution over its characters.

    `spelling` `[V, word_length]` holds the bytes of each entry of the vocabulary, 0 for none. It is
    saved with the weights, so that a loaded model needs ids alone.
    """

    def __init__(self, config: CNNLSTMConfig):
        super().__init__()
        self.words = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=config.pad_token_id)
        self.characters = nn.Embedding(BYTES, config.character_size, padding_idx=0)
        self.convolution = nn.Conv1d(
            config.character_size, config.character_filters, config.character_kernel, padding="same"
        )
        self.register_buffer("spelling", torch.zeros(config.vocab_size, config.word_length, dtype=torch.uint8))

    def forward(self, input_ids: Tensor) -> Tensor:
        """`[B, S]` to `[B, S, embedding_size + character_filters]`."""
        letters = self.get_buffer("spelling")[input_ids].flatten(0, 1).long()
        responses = self.convolution(self.characters(letters).transpose(1, 2)).relu().amax(-1)
        return torch.cat([self.words(input_ids), responses.unflatten(0, input_ids.shape)], dim=-1)


class CNNLSTMModel(RecurrentModel):
    """Word and character embeddings and bidirectional layers."""

    config_class: type[RecurrentConfig] = CNNLSTMConfig

    def make_embeddings(self, config: RecurrentConfig) -> nn.Module:
        assert isinstance(config, CNNLSTMConfig)
        return WordAndCharacterEmbeddings(config)

    def get_input_embeddings(self) -> nn.Module:
        return self.embeddings.words  # type: ignore[return-value]

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embeddings.words = value


class CNNLSTMForSequenceClassification(RecurrentForSequenceClassification):
    """A CNN-LSTM with a classifier."""

    config_class: type[RecurrentConfig] = CNNLSTMConfig
    encoder_class = CNNLSTMModel


class CNNLSTMForTokenClassification(RecurrentForTokenClassification):
    """A CNN-LSTM with a classifier of tokens."""

    config_class: type[RecurrentConfig] = CNNLSTMConfig
    encoder_class = CNNLSTMModel


class CNNLSTMForQuestionAnswering(RecurrentForQuestionAnswering):
    """A CNN-LSTM that finds answers in a text."""

    config_class: type[RecurrentConfig] = CNNLSTMConfig
    encoder_class = CNNLSTMModel


register(CNNLSTMForSequenceClassification, CNNLSTMForTokenClassification, CNNLSTMForQuestionAnswering)


@dataclass(frozen=True)
class CNNLSTM(RecurrentBlueprint):
    """A CNN-LSTM student.

    Papers: Ma & Hovy, 2016, arXiv 1603.01354, for the architecture; Izsak et al., "Training Compact
    Models for Low Resource Entity Tagging using Pre-trained Language Models", 2019, arXiv 1910.06294,
    for it as a student and for the sizes: characters of width 16, 128 filters of kernel 3, words of
    at most 12 characters, two layers of width 100.
    """

    num_hidden_layers: int = 2
    hidden_size: int = 100
    character_size: int = 16
    character_filters: int = 128
    character_kernel: int = 3
    word_length: int = 12

    config_class: ClassVar[type[RecurrentConfig]] = CNNLSTMConfig
    sizes: ClassVar[tuple[str, ...]] = (
        *RecurrentBlueprint.sizes,
        "character_size",
        "character_filters",
        "character_kernel",
        "word_length",
    )

    def finish(self, model: PreTrainedModel, tokenizer: Tokenizer) -> None:
        """Write the spelling of every entry of the vocabulary into the model."""
        table = spelling(tokenizer, self.word_length)
        model.get_buffer("encoder.embeddings.spelling")[: len(table)] = table


def spelling(tokenizer: Tokenizer, word_length: int) -> Tensor:
    """UTF-8 bytes `[V, word_length]` of each entry of the vocabulary; special tokens have none."""
    table = torch.zeros(len(tokenizer), word_length, dtype=torch.uint8)
    special = set(tokenizer.all_special_ids)
    for token, number in tokenizer.get_vocab().items():
        if number not in special:
            letters = _without_mark(token).encode()[:word_length]
            table[number, : len(letters)] = torch.tensor(list(letters), dtype=torch.uint8)
    return table


def _without_mark(token: str) -> str:
    """The token without the mark that tells a piece inside a word from one at its start."""
    return next((token.removeprefix(mark) for mark in MARKS if token.startswith(mark)), token)
