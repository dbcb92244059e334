"""Variants of texts by masked words, words of the same part of speech, and n-grams (Tang et al.)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from data.augmentation import Augmentation, Vary
from potstill.errors import UserError

MODELS = {"en": "morphmodel_en.pgz", "de": "morphmodel_ger.pgz", "nl": "morphmodel_dutch.pgz"}


@dataclass(frozen=True)
class Perturbation(Augmentation):
    """Each word is masked, replaced by one of the same part of speech, or left; then perhaps an n-gram is cut out.

    Paper: Tang et al., "Distilling Task-Specific Knowledge from BERT into Simple Neural Networks", 2019, arXiv
    1903.12136: 20 copies of a text, 10 of a pair, of which in turn the first, the second and both texts change. A word
    is replaced as often by another one as that occurs as this part of speech. Parts of speech by HanTa.

    Args:
        copies, seed: see `Augmentation`.
        masked: how likely a word is masked.
        replaced: how likely it is replaced.
        cut: how likely it is that nothing but an n-gram is left.
        longest: words of an n-gram at most.
        mask: what stands for a masked word: the teacher's mask token.
        language: `en`, `de` or `nl`.
    """

    masked: float = 0.1
    replaced: float = 0.1
    cut: float = 0.25
    longest: int = 5
    mask: str = "[MASK]"
    language: str = "en"

    turns: ClassVar[Sequence[Sequence[int]]] = ((0,), (1,), (0, 1))
    counted: ClassVar[Sequence[str]] = ("copies", "longest")

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = self.masked, self.replaced, self.cut
        if not all(isinstance(share, int | float) and 0 <= share <= 1 for share in shares) or sum(shares[:2]) > 1:
            raise UserError(f"data.augmentation: masked, replaced, cut: {shares} are no probabilities")
        if self.language not in MODELS:
            raise UserError(f"data.augmentation.language: {self.language!r} is none of {', '.join(MODELS)}")

    def learnt(self, texts: Iterable[str]) -> Callable[[str], Vary]:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for text in texts:
            for word, tag in self.tagged(text):
                counts[tag][word] += 1
        return Replacing(self, {tag: Choice(some) for tag, some in counts.items()})

    def tagged(self, text: str) -> list[tuple[str, str]]:
        """The words of a text, each with its part of speech."""
        words = text.split()
        return [(word, tag) for word, (_, _, tag) in zip(words, self._tagger.tag_sent(words), strict=True)]

    @cached_property
    def _tagger(self) -> Any:
        try:
            from HanTa.HanoverTagger import HanoverTagger
        except ImportError:
            raise UserError(
                "data/augmentation=tang: HanTa is not installed: pip install 'potstill[augmentation]'"
            ) from None
        return HanoverTagger(MODELS[self.language])


class Choice:
    """Words, each drawn as often as it occurs."""

    def __init__(self, counts: Counter[str]):
        self.words = list(counts)
        self.shares = np.cumsum(list(counts.values())) / counts.total()

    def draw(self, draw: np.random.Generator) -> str:
        """One of them."""
        return self.words[int(np.searchsorted(self.shares, draw.random(), side="right"))]


@dataclass(frozen=True)
class Replacing:
    """Makes variants of a text.

    Args:
        how: often which changes are made.
        words: to replace others by, for each part of speech.
    """

    how: Perturbation
    words: Mapping[str, Choice]

    def __call__(self, text: str) -> Vary:
        tagged = self.how.tagged(text)
        return lambda draw: self._varied(text, tagged, draw)

    def _varied(self, text: str, tagged: Sequence[tuple[str, str]], draw: np.random.Generator) -> str:
        """A variant, or the text itself where no word of it would be left."""
        how, words = self.how, []
        fates = draw.random(len(tagged))
        for (word, tag), fate in zip(tagged, fates, strict=True):
            if fate < how.masked:
                words.append(how.mask)
            else:
                words.append(self.words[tag].draw(draw) if fate < how.masked + how.replaced else word)
        if (fates < how.masked + how.replaced).all():
            return text
        if draw.random() < how.cut:
            count = min(int(draw.integers(1, how.longest + 1)), len(words))
            start = int(draw.integers(0, len(words) - count + 1))
            words = words[start : start + count]
        return " ".join(words)
