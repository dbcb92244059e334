"""Students that learn from what the others said some time ago."""

from collections.abc import Iterator, Mapping

from kd.moment import Moment
from kd.schemes.base import CLASSES, Lesson, Pair, Scheme, Step, logits_only
from kd.schemes.group import learners, mean_of_probabilities, peers_of, saying
from models.blueprint import Blueprint
from models.network import Network
from models.output import ModelOutput, Spec
from potstill.errors import UserError

OTHERS = "others"


class Codistillation(Scheme):
    """Every network learns from the labels and, after a burn-in, from older weights of the others.

    Paper: Anil et al., "Large scale distributed neural network training through online distillation", 2018,
    arXiv 1804.03235: the others' probabilities are averaged first and taught as one, their weights are those of the
    last exchange, and before the end of the burn-in there is the loss on the labels alone. With one other network,
    every knowledge term can teach; with several, those that read logits alone.

    Args:
        peers: networks beside the student, by name; one more copy of the student where empty.
        interval: updates from one exchange of weights to the next.
        burn_in: share of the training before the first exchange.
    """

    suits = CLASSES

    def __init__(self, peers: Mapping[str, Blueprint] | None = None, interval: int = 50, burn_in: float = 0.1):
        super().__init__()
        check_exchange(interval, burn_in)
        self._peers, self.interval, self.burn_in = peers_of(peers), interval, burn_in

    def peers(self) -> Mapping[str, Blueprint | None]:
        return self._peers

    def copies(self) -> Mapping[str, str]:
        return {stale(name): name for name in learners(self)}

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        return [self._pair(name, specs) for name in learners(self)]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        begun = step.moment.update >= self._start(step.moment)
        for pair in pairs:
            learner = step.run(pair.learner)
            yield Lesson(pair, learner, self._said(pair, learner, step) if begun else None)

    def after_update(self, networks: Mapping[str, Network], copies: Mapping[str, Network], moment: Moment) -> None:
        since = moment.update - self._start(moment)
        if since >= 0 and since % self.interval == 0:
            for name, of in self.copies().items():
                copies[name].load_state_dict(networks[of].state_dict())

    def _pair(self, name: str, specs: Mapping[str, Spec]) -> Pair:
        others = tuple(stale(other) for other in learners(self) if other != name)
        if len(others) == 1:
            return Pair(name, specs[name], others[0], specs[others[0]])
        return Pair(name, specs[name], OTHERS, logits_only(specs[name], OTHERS), sources=others)

    def _said(self, pair: Pair, learner: ModelOutput, step: Step) -> ModelOutput:
        said = [step.run(name) for name in pair.teachers]
        if len(said) == 1:
            return said[0]
        return saying(mean_of_probabilities([output.logits for output in said]), learner, said)

    def _start(self, moment: Moment) -> int:
        return int(self.burn_in * moment.updates)


def check_exchange(interval: int, burn_in: float) -> None:
    """Refuse a rhythm that cannot be."""
    if not isinstance(interval, int) or interval < 1:
        raise UserError(f"scheme.interval: {interval!r} is not a whole number above 0")
    if not 0 <= burn_in < 1:
        raise UserError(f"scheme.burn_in: {burn_in} is not a number from 0 to below 1")


def stale(name: str) -> str:
    """What the older weights of a network are called."""
    return f"stale_{name}"
