"""To which word of a text each token belongs, a word being what stands between white space."""

from collections.abc import Sequence

import numpy as np
from tokenizers import Encoding

WORDS = "words"  # the column, and the entry of a batch
NONE = -1
WHITE = np.array([number for number in range(0x3001) if chr(number).isspace()], dtype=np.uint32)


def word_numbers(texts: Sequence[str], encoding: Encoding, limit: int) -> np.ndarray:
    """The word of each token: from 0 in the first text, from `limit` in the second; -1 for special tokens.

    A token of several words belongs to the last of them. Words beyond the limit are none.

    Args:
        texts: one, or a pair.
        encoding: of them.
        limit: more words than a text may have.
    """
    offsets = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
    sides = np.array([NONE if side is None else side for side in encoding.sequence_ids], dtype=np.int64)
    numbers = np.full(len(sides), NONE, dtype=np.int64)
    for side, text in enumerate(texts):
        mine = (sides == side) & (offsets[:, 1] > offsets[:, 0])
        found = of_characters(text)[offsets[mine, 1] - 1]  # a token may begin with the space before it
        numbers[mine] = np.where((found >= 0) & (found < limit), found + side * limit, NONE)
    return numbers


def of_characters(text: str) -> np.ndarray:
    """The number of the word that each character is in; -1 for white space."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    inside = ~np.isin(codes, WHITE)
    begins = inside & ~np.concatenate([[False], inside[:-1]])
    return np.where(inside, np.cumsum(begins) - 1, NONE)
