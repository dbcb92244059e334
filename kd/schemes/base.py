"""The contract of a scheme."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from kd.moment import Moment
from models.blueprint import Blueprint
from models.heads import MASKED, ONE_CLASS, ONE_OF_PART, SPANS, TAGS
from models.network import Network
from models.output import Fields, ModelOutput, Spec

STUDENT, TEACHER = "student", "teacher"
CLASSES = frozenset({ONE_CLASS, ONE_OF_PART, TAGS, SPANS, MASKED})  # in which softmax is over what to choose

Run = Callable[[str], ModelOutput]


@dataclass(frozen=True)
class Pair:
    """Who learns from whom.

    Args:
        learner, learner_spec: who learns.
        teacher, teacher_spec: from whom; nobody where it learns from labels alone.
        network: of which the learner is a part; None where it is one itself.
        sources: the networks whose outputs the teacher's is made of; None where it is one itself.
        takes: which knowledge terms: `any`; those that read nothing but the teacher's `logits`; those that read what
            is `inside` it.
    """

    learner: str
    learner_spec: Spec
    teacher: str | None = None
    teacher_spec: Spec | None = None
    network: str | None = None
    sources: tuple[str, ...] | None = None
    takes: Literal["any", "logits", "inside"] = "any"

    def __str__(self) -> str:
        return f"{self.learner}<-{self.teacher or 'labels'}"

    @property
    def teachers(self) -> tuple[str, ...]:
        """The networks that teach here."""
        if self.sources is not None:
            return self.sources
        return (self.teacher,) if self.teacher else ()


@dataclass(frozen=True)
class Step:
    """One batch on its way through training.

    Args:
        batch: with `id` and `labels` `[B]`.
        run: gives a network's output for this batch by the network's name; asked again, it gives the same one.
            That of a frozen network comes detached.
        moment: when.
    """

    batch: Mapping[str, Any]
    run: Run
    moment: Moment


@dataclass(frozen=True)
class Lesson:
    """What both of a pair say of a batch, and how much that counts.

    Args:
        pair: of learner and teacher.
        learner: its output.
        teacher: its output; None where there is nothing to hand over now.
        weight: of the knowledge terms.
        label_weight: of the loss on the labels.
    """

    pair: Pair
    learner: ModelOutput
    teacher: ModelOutput | None = None
    weight: float = 1.0
    label_weight: float = 1.0


class Scheme(nn.Module, ABC):
    """Declares its pairs up front and makes lessons of each batch.

    Everything that runs is called by a name. What a scheme remembers (weights, buffers, extra state) is part of
    the checkpoint.

    Attributes:
        needs_teacher: whether it makes no sense without the run's frozen teacher.
        outcome: the network that is saved and reported.
        keeps_exits: whether the student's exits are of use afterwards.
        takes_unlabelled: whether rows without label teach anything.
        suits: the problems, see `models.heads`, that it has a meaning for; None: all.
        learning_rate: of the scheme's own weights; None: the optimizer's.
    """

    needs_teacher: ClassVar[bool] = False
    outcome: ClassVar[str] = STUDENT
    keeps_exits: ClassVar[bool] = False
    takes_unlabelled: bool = True
    suits: frozenset[str] | None = None
    learning_rate: ClassVar[float | None] = None

    def teachers(self) -> Mapping[str, Any]:
        """Frozen teachers beside the run's own, as `conf/teacher` describes one; None: that one with another seed."""
        return {}

    def peers(self) -> Mapping[str, Blueprint | None]:
        """Networks that train beside the student; None stands for another copy of it."""
        return {}

    def copies(self) -> Mapping[str, str]:
        """Frozen copies, by name, and of which network each is one; `after_update` moves them."""
        return {}

    def exits(self, specs: Mapping[str, Spec]) -> tuple[int, ...]:
        """The student's layers after which a classifier is put; several may stand on one layer."""
        return ()

    @abstractmethod
    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        """Who learns from whom, known from the specs of all networks, the copies among them.

        Raises:
            UserError: these networks do not suit the scheme.
        """

    def requires(self, specs: Mapping[str, Spec]) -> Mapping[str, Fields]:
        """What the scheme itself reads of each network, beside what the knowledge terms do."""
        return {}

    def connect(self, specs: Mapping[str, Spec]) -> None:
        """Make weights of its own, should it need any."""

    def at(self, moment: Moment) -> None:
        """Get ready for the batch that comes now."""

    def share(self, moment: Moment) -> float | None:
        """How much its lessons hand over knowledge now, where that changes while training goes on; None elsewhere."""
        return None

    @abstractmethod
    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        """The lessons of one batch, from the pairs as declared; changes nothing in the scheme."""

    def after_batch(self, step: Step) -> None:
        """Remember what this batch showed."""

    def after_update(self, networks: Mapping[str, Network], copies: Mapping[str, Network], moment: Moment) -> None:
        """Move the copies, once the weights have moved; `moment` counts that update."""

    def on_validation_batch(self, said: Mapping[str, Tensor], labels: Tensor) -> None:
        """Take note of what was predicted, see `predictions`, for a batch of held-out rows."""

    def on_validation_end(self) -> None:
        """Make something of it: all held-out rows have been seen."""

    def schedule(self, optimizer: Optimizer, updates: int) -> LRScheduler | None:
        """A course of the learning rate that belongs to the scheme; None leaves it to the optimizer's settings."""
        return None

    def predictions(self, outputs: Mapping[str, ModelOutput]) -> dict[str, Tensor]:
        """The logits that validation scores, by the name of a learner or of the outcome.

        Args:
            outputs: of all networks that train, and of the outcome.
        """
        return {name: output.deciding for name, output in outputs.items()}


def logits_only(spec: Spec, kind: str) -> Spec:
    """The spec of something that gives logits as this one does, and nothing else."""
    return replace(spec, kind=kind, provides=frozenset({"logits"}))
