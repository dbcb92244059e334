"""A random order of any number of things, without a list of it."""

import numpy as np

ROUNDS = 4


def permuted(positions: np.ndarray, size: int, seed: tuple[int, ...]) -> np.ndarray:
    """What stands at these positions of a random order of 0 to `size` - 1.

    A Feistel network over the next power of four permutes its numbers; those outside the range are
    permuted again until they fall into it (cycle walking; Black & Rogaway, 2002, "Ciphers with Arbitrary Finite
    Domains"). Memory is that of the positions asked for, whatever the size.
    """
    half = np.uint64(max(1, -(-(size - 1).bit_length() // 2)))
    keys = np.random.SeedSequence(seed).generate_state(ROUNDS, np.uint64)
    numbers = _feistel(positions.astype(np.uint64), half, keys)
    while (outside := numbers >= size).any():
        numbers[outside] = _feistel(numbers[outside], half, keys)
    return numbers.astype(np.int64)


def _feistel(numbers: np.ndarray, half: np.uint64, keys: np.ndarray) -> np.ndarray:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = numbers >> half, numbers & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right + key) & mask)
    return (left << half) | right


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele et al., 2014): every bit of the result depends on every bit."""
    with np.errstate(over="ignore"):
        numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))
