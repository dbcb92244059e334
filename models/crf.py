"""A conditional random field over the tags of a text's words (Lafferty et al., 2001): a linear chain.

Its parameters are `transitions` `[C + 1, C + 1]`: how well the tag of a column follows that of a row, the last row
standing for the beginning and the last column for the end. A word that is not there is passed over.
"""

from collections.abc import Callable

import torch
from torch import Tensor

IGNORED = -100  # where there is no label
MARGINALS, EMISSIONS = "marginals", "emissions"  # which of the two knowledge compares

Reduction = Callable[[Tensor, int], Tensor]


def log_marginals(emissions: Tensor, transitions: Tensor, words: Tensor) -> Tensor:
    """Logarithms `[B, W, C]` of how likely each tag is at each word.

    Args:
        emissions: scores of the tags, `[B, W, C]`.
        transitions: `[C + 1, C + 1]`.
        words: which there are, `[B, W]` bool.
    """
    return through(emissions, transitions, words, torch.logsumexp).log_softmax(-1)


def best(emissions: Tensor, transitions: Tensor, words: Tensor) -> Tensor:
    """Scores `[B, W, C]` of the best chain through each tag; the greatest ones make the best of all (Viterbi's).

    Arguments as for `log_marginals`.
    """
    return through(emissions, transitions, words, torch.amax)


def given(emissions: Tensor, transitions: Tensor, labels: Tensor) -> Tensor:
    """Logits `[B, W, C]` of each tag once those before it are known.

    Their cross-entropies add up to the negative log-likelihood of the chain of labels.

    Args:
        emissions: `[B, W, C]`.
        transitions: `[C + 1, C + 1]`.
        labels: `[B, W]`; words without label are passed over.
    """
    known = labels != IGNORED
    places = torch.arange(labels.shape[1], device=labels.device).where(known, -1).cummax(1).values
    last = torch.cat([torch.full_like(places[:, :1], -1), places[:, :-1]], 1)
    before = labels.gather(1, last.clamp(min=0)).where(last >= 0, transitions.shape[0] - 1)
    return transitions[before, :-1] + emissions + after(emissions, transitions, known, torch.logsumexp)


def through(emissions: Tensor, transitions: Tensor, words: Tensor, reduce: Reduction) -> Tensor:
    """Scores `[B, W, C]` of all chains through each tag, reduced to one number."""
    flipped = after(emissions.flip(1), transitions.T, words.flip(1), reduce).flip(1)
    return flipped + emissions + after(emissions, transitions, words, reduce)


def after(emissions: Tensor, transitions: Tensor, words: Tensor, reduce: Reduction) -> Tensor:
    """Scores `[B, W, C]` of what may follow each tag, up to the end."""
    follow = transitions[:-1, :-1]
    rest = transitions[:-1, -1].expand(len(emissions), -1)
    scores = []
    for place in reversed(range(emissions.shape[1])):
        scores.append(rest)
        more = reduce(follow + (emissions[:, place] + rest).unsqueeze(1), -1)
        rest = torch.where(words[:, place, None], more, rest)
    return torch.stack(scores[::-1], 1)
