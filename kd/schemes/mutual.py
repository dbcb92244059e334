"""Students that teach one another."""

from collections.abc import Iterator, Mapping
from itertools import permutations

from kd.schemes.base import Lesson, Pair, Scheme, Step
from kd.schemes.group import learners, peers_of
from models.blueprint import Blueprint
from models.output import Spec


class Mutual(Scheme):
    """Every network learns from the labels and from what each other one says at the moment.

    Paper: Zhang et al., "Deep Mutual Learning", 2018, arXiv 1706.00384: the terms of a network's
    K - 1 peers are averaged (the authors' code sums them), and a peer's output is a constant for whom it teaches.
    All networks are updated at once from the same outputs (the paper also tells of updating them in turn). Copies
    of the student share what they take from a teacher, but never the classifier, whose first weights differ.

    Args:
        peers: networks beside the student, by name; one more copy of the student where empty.
    """

    def __init__(self, peers: Mapping[str, Blueprint] | None = None):
        super().__init__()
        self._peers = peers_of(peers)

    def peers(self) -> Mapping[str, Blueprint | None]:
        return self._peers

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        names = learners(self)
        return [Pair(one, specs[one], other, specs[other]) for one, other in permutations(names, 2)]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        share = 1 / len(self._peers)
        for pair in pairs:
            assert pair.teacher is not None
            yield Lesson(pair, step.run(pair.learner), step.run(pair.teacher).detach(), share, share)
