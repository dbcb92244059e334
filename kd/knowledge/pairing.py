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


def below_top(learner: int, teacher: int) -> Pairs:
    """All layers but the top with as many of the teacher's right below its top (PKD-last, arXiv 1908.09355)."""
    if learner > teacher:
        raise UserError(f"pairing: {learner} layers of the learner, but only {teacher} of the teacher")
    return [(layer, teacher - learner + layer) for layer in range(1, learner)]


def ends(learner: int, teacher: int) -> Pairs:
    """First with first, top with top, the others spread evenly between (as DistilBERT starts, arXiv 1910.01108)."""
    step = (teacher - 1) / max(learner - 1, 1)
    return [(layer, round(teacher - (learner - layer) * step)) for layer in range(1, learner + 1)]


def first(learner: int, teacher: int) -> Pairs:
    """Each layer with that of the same number, as far as both go."""
    return [(layer, layer) for layer in range(1, min(learner, teacher) + 1)]


def middle(learner: int, teacher: int) -> Pairs:
    """The layer in the middle of each (FitNets' hint, arXiv 1412.6550)."""
    return [((learner + 1) // 2, (teacher + 1) // 2)]


def last(learner: int, teacher: int, count: int = 1) -> Pairs:
    """The last `count` layers of both, top with top."""
    if count > min(learner, teacher):
        raise UserError(f"pairing: the last {count} layers are asked for, but there are {min(learner, teacher)}")
    return [(learner - back, teacher - back) for back in reversed(range(count))]


def embeddings(learner: int, teacher: int) -> Pairs:
    """The embeddings alone."""
    return [(0, 0)]


def every(learner: int, teacher: int) -> Pairs:
    """Every layer with every layer, without the embeddings: for a matching that chooses or weighs."""
    return [(mine, theirs) for mine in range(1, learner + 1) for theirs in range(1, teacher + 1)]


def every_below_top(learner: int, teacher: int) -> Pairs:
    """As `every`, without the tops."""
    return [(mine, its) for mine, its in every(learner, teacher) if mine < learner and its < teacher]


def explicit(learner: int, teacher: int, pairs: Sequence[Sequence[int]]) -> Pairs:
    """The pairs as given; a layer may stand in several."""
    for mine, theirs in pairs:
        if not (0 <= mine <= learner and 0 <= theirs <= teacher):
            raise UserError(f"pairing: [{mine}, {theirs}] is outside 0 to {learner} and 0 to {teacher}")
    return [(int(mine), int(theirs)) for mine, theirs in pairs]


def as_text(pairs: Pairs) -> str:
    """The pairs for the plan: learner <- teacher."""
    return ", ".join(f"{mine}<-{theirs}" for mine, theirs in pairs)
