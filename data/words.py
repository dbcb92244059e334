"""To which word of a text each token belongs, a word being what stands between white space."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding

WORDS, WORD_COUNT = "words", "word_count"  # of an encoding
NONE = -1
WHITE = np.array([number for number in range(0x3001) if chr(number).isspace()], dtype=np.uint32)


def word_numbers(texts: Sequence[str], encoding: Encoding, limit: int) -> np.ndarray:
    """The word of each token, those of a second text counted on from the first one's; -1 for special tokens.

    A token of several words belongs to the last of them. No more words of a text than `limit` are counted.

    Args:
        texts: one, or a pair.
        encoding: of them.
        limit: as many tokens as the encoding may have.
    """
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    sides = np.array([NONE if side is None else side for side in encoding.sequence_ids], dtype=np.int64)
    numbers = np.full(len(sides), NONE, dtype=np.int64)
    before = 0
    for side, text in enumerate(texts):
        words = of_characters(text)
        mine = (sides == side) & (offsets[:, 1] > offsets[:, 0])
        found = words[offsets[mine, 1] - 1]  # a token may begin with the space before it
        numbers[mine] = np.where((found >= 0) & (found < limit), found + before, NONE)
        before += min(int(words.max(initial=NONE)) + 1, limit)
    return numbers


def of_characters(text: str) -> np.ndarray:
    """The number of the word that each character is in; -1 for white space."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    inside = ~np.isin(codes, WHITE)
    begins = inside & ~np.concatenate([[False], inside[:-1]])
    return np.where(inside, np.cumsum(begins) - 1, NONE)
