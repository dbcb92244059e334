"""From a config to a network, in two steps: first everything but the weights, then the weights."""

import copy
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from models.attention import can_record
from models.crf import EMISSIONS, MARGINALS
from models.embeddings import from_other_tokenizer, narrowed, word_vectors
from models.heads import ANY_LABEL, MASKED, NUMBER, ONE_CLASS, auto_model
from models.network import Network, is_in, parameter_count
from models.output import ATTENTION, STATES, Spec
from models.recurrent import RecurrentConfig
from models.vocabulary import can_be_cut, cut_vocabulary
from models.words import word_tokenizer
from potstill import fingerprint
from potstill.errors import UserError, check_counts

log = logging.getLogger(__name__)


class Corpus(Protocol):
    """The training texts."""

    @property
    def pairs(self) -> bool:
        """Whether a row has two of them."""

    def texts(self) -> Iterable[str]:
        """All of them."""

    def ids(self, tokenizer: PreTrainedTokenizerFast) -> Iterable[int]:
        """Every id that occurs in them, once."""

    def cut_alike(self, one: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> bool:
        """Whether two tokenizers make the same pieces of each of them."""


class NoTexts:
    """A corpus for networks that need none."""

    pairs = False

    def texts(self) -> Iterable[str]:
        return ()

    def ids(self, tokenizer: PreTrainedTokenizerFast) -> Iterable[int]:
        return ()

    def cut_alike(self, one: PreTrainedTokenizerFast, other: PreTrainedTokenizerFast) -> bool:
        return False


NO_TEXTS = NoTexts()


@dataclass(frozen=True)
class Draft:
    """A network that has no weights yet: enough to plan with.

    Args:
        blueprint: what made it and will give it weights.
        tokenizer: cuts texts for it.
        config: its sizes and labels.
        segmentation: fingerprint of the first tokenizer that cuts the training texts at the same places.
        teacher: the network to start from, where there is one.
        problem: what its logits are about, see `models.heads`.
    """

    blueprint: "Blueprint"
    tokenizer: PreTrainedTokenizerFast
    config: PretrainedConfig
    segmentation: str
    teacher: "Draft | None" = None
    problem: str = ONE_CLASS

    @cached_property
    def spec(self) -> Spec:
        """What the network will give; its parameters are counted on a model without storage."""
        model = self._empty()
        return Spec(
            kind=self.config.model_type,
            widths=widths(self.config),
            heads=getattr(self.config, "num_attention_heads", None),
            parameters=parameter_count(model),
            classes=int((self.config.vocab_size if self.problem == MASKED else self.config.num_labels) or 0),
            tokenizer=fingerprint.of_tokenizer(self.tokenizer),
            segmentation=self.segmentation,
            problem=self.problem,
            provides=frozenset({"logits"}) | STATES | (ATTENTION if can_record(model) else frozenset()),
        )

    @property
    def encoder(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the weights below the head."""
        return {name: tuple(weight.shape) for name, weight in self._empty().base_model.state_dict().items()}

    def trained(self, frozen: Sequence[str]) -> int:
        """How many parameters train where some parts keep theirs.

        Raises:
            UserError: there is no such part, or nothing is left.
        """
        sizes = {name: parameter.numel() for name, parameter in self._empty().named_parameters()}
        for part in frozen:
            if not any(is_in(name, [part]) for name in sizes):
                known = ", ".join(dict.fromkeys(name.rsplit(".", 1)[0] for name in sizes))
                raise UserError(f"optimizer.frozen: the student has no part {part!r}; there are {known:.200}")
        left = sum(size for name, size in sizes.items() if not is_in(name, frozen))
        if not left:
            raise UserError("optimizer.frozen: nothing is left to train")
        return left

    @property
    def origin(self) -> str:
        """Where the first weights come from, in words."""
        return self.blueprint.origin(self)

    def save_outline(self, folder: Path) -> None:
        """Write what `Network.save` would, but for the weights: enough to draft the same network again."""
        config = copy.deepcopy(self.config)
        config.architectures = [type(self._empty()).__name__]
        config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def _empty(self) -> PreTrainedModel:
        try:
            with torch.device("meta"):
                return auto_model(self.problem).from_config(self.config)
        except ValueError as error:
            kind, wanted = self.config.model_type, self.problem.replace("_", " ")
            raise UserError(f"{kind}: transformers has no such network for {wanted}") from error

    def untrained(self) -> Network:
        """The network with random weights, whatever it will start from: as large and as fast as it will be."""
        return Network(auto_model(self.problem).from_config(self.config), self.tokenizer, self.spec)

    def network(self, teacher: Network | None = None) -> Network:
        """The network with its first weights; random ones follow torch's seed."""
        return Network(self.blueprint.weights(self, teacher), self.tokenizer, self.spec)


class Blueprint(ABC):
    """Knows how to draft a network and how to give it its first weights."""

    learning_rate: float

    def draft(
        self,
        labels: Sequence[str],
        teacher: Draft | None = None,
        corpus: Corpus = NO_TEXTS,
        problem: str = ONE_CLASS,
    ) -> Draft:
        """The network without weights.

        Args:
            labels: names of the numbers it gives for a row: of the classes, in order.
            teacher: what the network may take its tokenizer, sizes and first weights from.
            corpus: the training texts, for a vocabulary.
            problem: what its logits are about, see `models.heads`.
        """
        tokenizer = self.tokenizer(teacher, corpus)
        config = self.config(tokenizer, teacher)
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
        named = problem in (ANY_LABEL, NUMBER)  # transformers takes one class for granted
        config.problem_type = problem if named else None  # type: ignore[assignment]
        return Draft(self, tokenizer, config, segmentation(tokenizer, teacher, corpus), teacher, problem)

    @abstractmethod
    def tokenizer(self, teacher: Draft | None, corpus: Corpus) -> PreTrainedTokenizerFast:
        """The tokenizer of the network."""

    @abstractmethod
    def config(self, tokenizer: PreTrainedTokenizerFast, teacher: Draft | None) -> PretrainedConfig:
        """The sizes of the network."""

    @abstractmethod
    def origin(self, draft: Draft) -> str:
        """Where the first weights come from, in words."""

    @abstractmethod
    def weights(self, draft: Draft, teacher: Network | None) -> PreTrainedModel:
        """The model with its first weights."""


@dataclass(frozen=True)
class RecurrentBlueprint(Blueprint):
    """What the LSTM students have in common.

    Args:
        learning_rate: that suits this architecture.
        hidden_size: width of the LSTM in each direction.
        num_hidden_layers: bidirectional layers.
        classifier_size: width of the layer before the logits.
        dropout: between layers, on the embeddings and before the logits.
        vocabulary: `data`: those pieces of the teacher's tokenizer that the training texts use; `teacher`: all
            of them; `words`: words of the training texts.
        vocabulary_size: how many words, where they are our own.
        embeddings: where the table starts from: `teacher` (rows of the fine-tuned teacher), `random`,
            or the path of a file of word vectors.
        embedding_size: width of the table; the teacher's where not given, reduced by SVD where narrower.
        crf: for tags, a conditional random field on top; knowledge about logits compares its `marginals` or its
            `emissions`.
    """

    learning_rate: float = 1e-3
    hidden_size: int = 150
    num_hidden_layers: int = 1
    classifier_size: int = 200
    dropout: float = 0.1
    vocabulary: str = "data"
    vocabulary_size: int = 20_000
    embeddings: str = "teacher"
    embedding_size: int | None = None
    crf: str | None = None

    config_class: ClassVar[type[RecurrentConfig]]
    sizes: ClassVar[tuple[str, ...]] = ("hidden_size", "num_hidden_layers", "classifier_size", "dropout")
    shares: ClassVar[tuple[str, ...]] = ("dropout",)

    def __post_init__(self) -> None:
        check_counts("student", self, [size for size in (*self.sizes, "vocabulary_size") if size not in self.shares])
        for share in self.shares:
            if not isinstance(value := getattr(self, share), int | float) or not 0 <= value < 1:
                raise UserError(f"student.{share}: {value!r} is not a number from 0 to below 1")
        if self.crf not in (None, MARGINALS, EMISSIONS):
            raise UserError(f"student.crf: {self.crf!r} is none of {MARGINALS}, {EMISSIONS}, null")

    def tokenizer(self, teacher: Draft | None, corpus: Corpus) -> PreTrainedTokenizerFast:
        if self.vocabulary == "words":
            return word_tokenizer(corpus.texts(), self.vocabulary_size)
        if self.vocabulary not in ("data", "teacher"):
            raise UserError(f"student.vocabulary: {self.vocabulary!r} is none of data, teacher, words")
        if teacher is None:
            raise UserError("student.vocabulary: there is no teacher to take it from; say student.vocabulary=words")
        if self.vocabulary == "data" and not can_be_cut(teacher.tokenizer):
            log.warning("student.vocabulary=data: the teacher's tokenizer is no WordPiece one and is kept whole")
            return teacher.tokenizer
        if self.vocabulary == "teacher":
            return teacher.tokenizer
        return cut_vocabulary(teacher.tokenizer, corpus.ids(teacher.tokenizer))

    def config(self, tokenizer: PreTrainedTokenizerFast, teacher: Draft | None) -> PretrainedConfig:
        return self.config_class(
            vocab_size=len(tokenizer),
            embedding_size=self._embedding_size(teacher),
            pad_token_id=tokenizer.pad_token_id,
            crf=self.crf,
            **{size: getattr(self, size) for size in self.sizes},
        )

    def origin(self, draft: Draft) -> str:
        return "random weights" if self.embeddings == "random" else f"embeddings from {self.embeddings}"

    def weights(self, draft: Draft, teacher: Network | None) -> PreTrainedModel:
        model = auto_model(draft.problem).from_config(draft.config)
        if self.embeddings != "random":
            self._fill(model.get_input_embeddings().weight.data, draft, teacher)
        self.finish(model, draft.tokenizer)
        return model

    def _fill(self, table: torch.Tensor, draft: Draft, teacher: Network | None) -> None:
        if self.embeddings == "teacher":
            assert teacher is not None
            table[:] = self._teacher_rows(draft, teacher)
        else:
            word_vectors(self.embeddings, draft.tokenizer.get_vocab(), table)

    def finish(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        """Write what depends on the vocabulary into the model."""

    def _embedding_size(self, teacher: Draft | None) -> int:
        if self.embeddings != "teacher":
            if self.embeddings != "random" and not Path(self.embeddings).is_file():
                raise UserError(f"student.embeddings: {self.embeddings}: no such file; or say teacher or random")
            if self.embedding_size is None:
                raise UserError(f"student.embedding_size: must be given with student.embeddings={self.embeddings}")
            return self.embedding_size
        if teacher is None:
            raise UserError("student.embeddings: there is no teacher to take them from; say student.embeddings=random")
        widest = teacher.spec.widths[0]
        if (self.embedding_size or 1) > widest:
            raise UserError(
                f"student.embedding_size: {self.embedding_size} is wider than the teacher's {widest}; "
                "take a narrower one or student.embeddings=random"
            )
        return self.embedding_size or widest

    def _teacher_rows(self, draft: Draft, teacher: Network) -> torch.Tensor:
        table = torch.as_tensor(teacher.model.get_input_embeddings().weight).detach().cpu()
        if self.vocabulary == "words":
            table = from_other_tokenizer(table, teacher.tokenizer, draft.tokenizer)
        else:
            pieces = draft.tokenizer.convert_ids_to_tokens(list(range(draft.config.vocab_size)))
            table = table[teacher.tokenizer.convert_tokens_to_ids(pieces)]
        return narrowed(table, draft.config.embedding_size)


def segmentation(tokenizer: PreTrainedTokenizerFast, teacher: Draft | None, corpus: Corpus) -> str:
    """The teacher's, where the tokenizer cuts the training texts as its does, else the tokenizer's own."""
    own = fingerprint.of_tokenizer(tokenizer)
    if teacher is None or own == teacher.spec.tokenizer:
        return own if teacher is None else teacher.segmentation
    return teacher.segmentation if corpus.cut_alike(teacher.tokenizer, tokenizer) else own


def widths(config: PretrainedConfig) -> tuple[int, ...]:
    """Widths of a model's hidden states, embeddings first."""
    return getattr(config, "widths", None) or (config.hidden_size,) * (config.num_hidden_layers + 1)
