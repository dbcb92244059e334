"""Which layer of the learner is compared with which of the teacher.

One rule of counting throughout: 0 is the embeddings, l the output of layer l, as in `hidden_states`.
Every function takes the two depths and gives (learner, teacher) pairs; attention of a pair is that
of layer l, so that pair 0 has none.
"""

from collections.abc import Sequence

from potstill.errors import UserError

Pairs = list[tuple[int, int]]


def uniform(learner: int, teacher: int) -> Pairs:
    """Every layer and the embeddings, spread evenly: j with round(j L / M) (TinyBERT, arXiv 1909.10351)."""
    return [(layer, round(layer * teacher / learner)) for layer in range(learner + 1)]


def layers(learner: int, teacher: int) -> Pairs:
    """As `uniform`, without the embeddings."""
    return uniform(learner, teacher)[1:]


def skip(learner: int, teacher: int) -> Pairs:
    """As `uniform`, without embeddings and top: those learn otherwise (PKD-skip, arXiv 1908.09355)."""
    return uniform(learner, teacher)[1:-1]


def last(learner: int, teacher: int, count: int = 1) -> Pairs:
    """The last `count` layers of both, top with top."""
    if count > min(learner, teacher):
        raise UserError(f"pairing: the last {count} layers are asked for, but there are {min(learner, teacher)}")
    return [(learner - back, teacher - back) for back in reversed(range(count))]


def explicit(learner: int, teacher: int, pairs: Sequence[Sequence[int]]) -> Pairs:
    """The pairs as given; a layer may stand in several."""
    for mine, theirs in pairs:
        if not (0 <= mine <= learner and 0 <= theirs <= teacher):
            raise UserError(f"pairing: [{mine}, {theirs}] is outside 0 to {learner} and 0 to {teacher}")
    return [(int(mine), int(theirs)) for mine, theirs in pairs]


def as_text(pairs: Pairs) -> str:
    """The pairs for the plan: learner <- teacher."""
    return ", ".join(f"{mine}<-{theirs}" for mine, theirs in pairs)
