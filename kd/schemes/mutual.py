"""Students that teach one another."""

from collections.abc import Iterator, Mapping
from itertools import permutations

from kd.schemes.base import STUDENT, TEACHER, Lesson, Pair, Run, Scheme
from models.blueprint import Blueprint
from models.output import Spec
from potstill.errors import UserError


class Mutual(Scheme):
    """Every network learns from the labels and from what each other one says at the moment.

    Paper: Zhang et al., "Deep Mutual Learning", 2018, arXiv 1706.00384: the terms of a network's
    K - 1 peers are averaged, and a peer's output is a constant for whom it teaches. All networks are
    updated at once from the same outputs (the paper also tells of updating them in turn). Copies of the
    student share what they take from a teacher, but never the classifier, whose first weights differ.

    Args:
        peers: networks beside the student, by name; one more copy of the student where empty.
    """

    def __init__(self, peers: Mapping[str, Blueprint] | None = None):
        self._peers = dict(peers or {})
        for name in self._peers:
            if name in (STUDENT, TEACHER) or not name.isidentifier():
                raise UserError(f"scheme.peers: {name!r} cannot be a peer's name; take another one, e.g. second")

    def peers(self) -> Mapping[str, Blueprint | None]:
        return self._peers or {"peer": None}

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        names = [name for name in specs if name != TEACHER]
        return [Pair(one, specs[one], other, specs[other]) for one, other in permutations(names, 2)]

    def lessons(self, pairs: list[Pair], run: Run) -> Iterator[Lesson]:
        outputs = {name: run(name) for name in (STUDENT, *self.peers())}
        for pair in pairs:
            assert pair.teacher is not None
            yield Lesson(pair, outputs[pair.learner], outputs[pair.teacher].detach(), 1 / (len(outputs) - 1))
