"""MobileBERT students: as deep as the teacher, and thin inside each layer."""

from dataclasses import dataclass

from transformers import MobileBertConfig, PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from models.blueprint import Blueprint, Corpus, Draft
from models.heads import auto_model
from models.network import Network
from models.words import word_tokenizer
from potstill.errors import UserError, check_counts

SIZES = ("hidden_size", "intra_bottleneck_size", "embedding_size", "num_attention_heads", "num_feedforward_networks")


@dataclass(frozen=True)
class MobileBERT(Blueprint):
    """A transformer whose layers work in a bottleneck, on random weights.

    Paper: Sun et al., "MobileBERT", 2020, arXiv 2004.02984: 24 layers that hand on states of width 512 and attend and
    feed forward in a width of 128, with 4 heads and 4 feed-forward networks; word vectors of width 128 are joined with
    their neighbours'. The paper's teacher has states of the same width; here a projection learns to reach another one.

    Args:
        num_hidden_layers: how many layers; as many as the teacher where not given.
        hidden_size: width of the states between layers.
        intra_bottleneck_size: width inside them.
        embedding_size: width of a word's vector.
        num_attention_heads: they part the inner width.
        num_feedforward_networks: in each layer.
        vocabulary_size: how many words, where there is no teacher to take the tokenizer from.
        learning_rate: that suits this architecture.
    """

    num_hidden_layers: int | None = None
    hidden_size: int = 512
    intra_bottleneck_size: int = 128
    embedding_size: int = 128
    num_attention_heads: int = 4
    num_feedforward_networks: int = 4
    vocabulary_size: int = 20_000
    learning_rate: float = 5e-4

    def __post_init__(self) -> None:
        given = () if self.num_hidden_layers is None else ("num_hidden_layers",)
        check_counts("student", self, (*SIZES, *given, "vocabulary_size"))
        if self.intra_bottleneck_size % self.num_attention_heads:
            width, heads = self.intra_bottleneck_size, self.num_attention_heads
            raise UserError(f"student.num_attention_heads: {heads} heads do not divide intra_bottleneck_size {width}")
        if self.hidden_size < self.embedding_size:
            narrow, wide = self.hidden_size, self.embedding_size
            raise UserError(f"student.hidden_size: {narrow} is narrower than student.embedding_size {wide}")

    def tokenizer(self, teacher: Draft | None, corpus: Corpus) -> PreTrainedTokenizerFast:
        return teacher.tokenizer if teacher else word_tokenizer(corpus.texts(), self.vocabulary_size)

    def config(self, tokenizer: PreTrainedTokenizerFast, teacher: Draft | None) -> PretrainedConfig:
        layers = self.num_hidden_layers or (teacher.spec.layers if teacher else None)
        if layers is None:
            raise UserError("student.num_hidden_layers: there is no teacher to be as deep as; say how many")
        return MobileBertConfig(
            vocab_size=len(tokenizer),
            num_hidden_layers=layers,
            intermediate_size=4 * self.intra_bottleneck_size,
            pad_token_id=tokenizer.pad_token_id,
            **{size: getattr(self, size) for size in SIZES},
        )

    def origin(self, draft: Draft) -> str:
        return "random weights"

    def weights(self, draft: Draft, teacher: Network | None) -> PreTrainedModel:
        return auto_model(draft.problem).from_config(draft.config)
