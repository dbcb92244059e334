"""Variants of texts by words that a language model or word vectors think alike (TinyBERT)."""

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from transformers import AutoModelForMaskedLM, AutoTokenizer

from data.augmentation import Augmentation, Vary
from potstill import fingerprint
from potstill.errors import UserError

AT_ONCE = 32  # masked copies of a text
BEGIN = ("Ġ", "▁")  # of a word, where pieces inside one have no mark
LONGEST = 512  # tokens, where a model does not say


@dataclass(frozen=True)
class Substitution(Augmentation):
    """Each word but stop words is replaced, with some probability, by one of those that are likely in its place.

    Paper: Jiao et al., "TinyBERT", 2019, arXiv 1909.10351: 20 copies (10 of large sets, 30 of small ones), probability
    0.4, the 15 most likely words. They come from a masked language model where the word is one piece of it, and are the
    nearest ones by cosine of word vectors where it is several. Of a pair, the texts change in turn.

    Args:
        copies, seed: see `Augmentation`.
        replaced: how likely a word is replaced.
        candidates: words among which one is drawn.
        model: a masked language model, from the Hub or in a folder; without one, word vectors serve for all words.
        vectors: a text file of word vectors (GloVe's format); without one, words of several pieces stay.
    """

    replaced: float = 0.4
    candidates: int = 15
    model: str | None = None
    vectors: str | None = None

    turns: ClassVar[Sequence[Sequence[int]]] = ((0,), (1,))
    counted: ClassVar[Sequence[str]] = ("copies", "candidates")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.replaced, int | float) or not 0 <= self.replaced <= 1:
            raise UserError(f"data.augmentation.replaced: {self.replaced!r} is no probability")
        if self.model is None and self.vectors is None:
            raise UserError(
                "data.augmentation: name a masked language model, word vectors, or both: model=…, vectors=…"
            )

    def state(self) -> str:
        named = [Path(place) for place in (self.model, self.vectors) if place is not None]
        files = [path for place in named for path in (sorted(place.rglob("*")) if place.is_dir() else [place])]
        return fingerprint.of_files(path for path in files if path.is_file())

    def learnt(self, texts: Iterable[str]) -> Callable[[str], Vary]:
        return self.varying

    def varying(self, text: str) -> Vary:
        """What makes variants of a text."""
        words = text.split()
        likely = self.likely(words)

        def vary(draw: np.random.Generator) -> str:
            chosen = draw.random(len(words)) < self.replaced
            return " ".join(
                others[draw.integers(len(others))] if change and others else word
                for word, others, change in zip(words, likely, chosen, strict=True)
            )

        return vary

    def likely(self, words: Sequence[str]) -> list[list[str]]:
        """What may stand in the place of each word; nothing for stop words, and for what is no word."""
        free = {n for n, word in enumerate(words) if word.isalpha() and word.lower() not in ENGLISH_STOP_WORDS}
        said = self._said(words, free) if self.model else {}
        return [
            said.get(place) or self._near(word.lower()) if place in free else [] for place, word in enumerate(words)
        ]

    def _said(self, words: Sequence[str], free: Set[int]) -> dict[int, list[str]]:
        """What the language model says in the place of each of these words that is one piece."""
        tokenizer, model = self._language_model
        most = min(tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", LONGEST))
        encoding = tokenizer(
            list(words), is_split_into_words=True, truncation=True, max_length=most, return_tensors="pt"
        )
        places: dict[int, list[int]] = {}
        for position, word in enumerate(encoding.word_ids()):
            if word in free:
                places.setdefault(word, []).append(position)
        single = {word: some[0] for word, some in places.items() if len(some) == 1}
        if not single:
            return {}
        ids = encoding["input_ids"].repeat(len(single), 1)
        positions = torch.tensor(list(single.values()))
        ids[torch.arange(len(ids)), positions] = tokenizer.mask_token_id
        with torch.inference_mode():
            logits = torch.cat(
                [
                    model(input_ids=some).logits[torch.arange(len(some)), at]
                    for some, at in zip(ids.split(AT_ONCE), positions.split(AT_ONCE), strict=True)
                ]
            )
        best = logits.topk(min(2 * self.candidates, logits.shape[-1])).indices
        return {word: self._words(row.tolist(), words[word]) for word, row in zip(single, best, strict=True)}

    def _words(self, ids: Sequence[int], known: str) -> list[str]:
        """The whole words among them, without the one that is known."""
        tokens = self._language_model[0].convert_ids_to_tokens(ids)
        whole = [token[1:] for token in tokens if token[:1] in BEGIN] or tokens
        return [word for word in whole if word.isalpha() and word.lower() != known.lower()][: self.candidates]

    @cached_property
    def _language_model(self) -> tuple[Any, Any]:
        assert self.model is not None
        try:
            model, about = AutoModelForMaskedLM.from_pretrained(self.model, output_loading_info=True)
            tokenizer = AutoTokenizer.from_pretrained(self.model, add_prefix_space=True)
        except (OSError, ValueError) as error:
            raise UserError(f"data.augmentation.model: {str(error).splitlines()[0]}") from error
        if about["missing_keys"]:
            raise UserError(f"data.augmentation.model: {self.model} has no head for masked words")
        return tokenizer, model.eval()

    @cached_property
    def _near(self) -> Callable[[str], list[str]]:
        """The nearest words by their vectors, found once a word."""
        if self.vectors is None:
            return lambda word: []
        try:
            from gensim.models import KeyedVectors
        except ImportError:
            raise UserError(
                "data/augmentation=tinybert: gensim is not installed: pip install 'potstill[augmentation]'"
            ) from None
        try:
            table = KeyedVectors.load_word2vec_format(self.vectors, no_header=True)
        except (OSError, ValueError) as error:
            raise UserError(f"data.augmentation.vectors: {self.vectors}: {error}") from error

        @cache
        def near(word: str) -> list[str]:
            if word not in table:
                return []
            return [other for other, _ in table.most_similar(word, topn=self.candidates)]

        return near
