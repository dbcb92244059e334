"""To which word of a text each token belongs."""

import re
import unicodedata
from collections.abc import Callable, Sequence

import numpy as np
from tokenizers import Encoding

WORDS, WORD_COUNT = "words", "word_count"  # of an encoding
NONE = -1
BIG = range(0x20000)  # where letters are
COMBINING = "".join(re.escape(chr(number)) for number in BIG if unicodedata.category(chr(number)).startswith("M"))
ALONE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, ideographs: a word each
WORD_OR_MARK = re.compile(rf"[{ALONE}]|(?:(?![{ALONE}])[\w{COMBINING}])+|[^\w\s]")
WHITE = np.array([number for number in range(0x3001) if chr(number).isspace()], dtype=np.uint32)

Numbering = Callable[[Sequence[str], Encoding, int], np.ndarray]


def word_numbers(texts: Sequence[str], encoding: Encoding, limit: int) -> np.ndarray:
    """The word of each token, those of a second text counted on from the first one's; -1 for special tokens.

    A word is what stands between white space. A token of several words belongs to the last of them. No more words of a
    text than `limit` are counted.

    Args:
        texts: one, or a pair.
        encoding: of them.
        limit: as many tokens as the encoding may have.
    """
    numbers = np.full(len(encoding.ids), NONE, dtype=np.int64)
    before = 0
    for side, text in enumerate(texts):
        words = of_characters(text)
        _number(numbers, encoding, side, words, limit, before)
        before += min(int(words.max(initial=NONE)) + 1, limit)
    return numbers


def passage_numbers(texts: Sequence[str], encoding: Encoding, limit: int) -> np.ndarray:
    """Where in the last text each token is: from 1 on its words and marks; 0 for the first token, -1 for all others.

    Arguments as for `word_numbers`.
    """
    numbers = np.full(len(encoding.ids), NONE, dtype=np.int64)
    words = np.full(len(texts[-1]), NONE, dtype=np.int64)
    for number, (start, end) in enumerate(words_and_marks(texts[-1])):
        words[start:end] = number
    _number(numbers, encoding, len(texts) - 1, words, limit, before=1)
    numbers[:1] = 0
    return numbers


def words_and_marks(text: str) -> list[tuple[int, int]]:
    """Where each run of letters and digits, and each other character but white space, begins and ends.

    Of writing without white space, kana and ideographs are words of their own.
    """
    return [match.span() for match in WORD_OR_MARK.finditer(text)]


def _number(numbers: np.ndarray, encoding: Encoding, side: int, words: np.ndarray, limit: int, before: int) -> None:
    """Write the numbers of one text's tokens, counted on from those before; `words` has those of its characters."""
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    sides = np.array([NONE if side is None else side for side in encoding.sequence_ids], dtype=np.int64)
    mine = (sides == side) & (offsets[:, 1] > offsets[:, 0])
    found = words[offsets[mine, 1] - 1]  # a token may begin with the space before it
    numbers[mine] = np.where((found >= 0) & (found < limit), found + before, NONE)


def of_characters(text: str) -> np.ndarray:
    """The number of the word that each character is in; -1 for white space."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    inside = ~np.isin(codes, WHITE)
    begins = inside & ~np.concatenate([[False], inside[:-1]])
    return np.where(inside, np.cumsum(begins) - 1, NONE)
