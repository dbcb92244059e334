"""Knowledge in the logits."""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from data.task import IGNORED
from kd.knowledge.base import Knowledge
from kd.knowledge.distances import kl, mse, soft_targets
from kd.knowledge.weighting import even
from kd.moment import Moment
from kd.schedule import Schedule
from models.heads import ANY_LABEL, NUMBER, ONE_CLASS, ONE_OF_PART, SPANS
from models.output import NEVER, ModelOutput, Spec, among
from potstill.errors import UserError

Distance = Callable[..., Tensor]
Weighting = Callable[[Tensor, Tensor], Tensor]
MANY = 2**31  # words of a text
DIFFERING = frozenset({SPANS, ONE_OF_PART})  # not all texts choose among the same
LAST = "what there is to choose among differs from text to text; leave standardise out"


class Rows(NamedTuple):
    """What is compared.

    Args:
        learner, teacher: logits `[..., C]`.
        labels: `[...]`, -100 where there is none; perhaps None.
        real: which rows `[...]` count.
        scale: of each row's distance.
    """

    learner: Tensor
    teacher: Tensor
    labels: Any
    real: Tensor
    scale: Tensor | float = 1.0


class Logits(Knowledge):
    """A distance between the logits of learner and teacher, averaged over the rows.

    Rows are texts, or words where every word has logits of its own. Where a text may have any of several labels, each
    of them is a distribution over yes and no, and their distances are summed. Where a span is looked for, its beginning
    and its end are two rows, and the classes are the words that both sides have. Where texts are of several tasks, the
    classes are those of each one's own.

    Args:
        distance: of `[..., C]` logits to `[...]`, e.g. `kd.knowledge.distances.mse` for logit regression (Ba &
            Caruana, 2014, arXiv 1312.6184; Tang et al., 2019, arXiv 1903.12136). Where there is a temperature, it is
            the third argument.
        temperature: T: a number, or a schedule; None for distances that have none.
        standardise: subtract the mean of each row's logits and divide by their standard deviation first, on both
            sides (Sun et al., "Logit Standardization in Knowledge Distillation", 2024, arXiv 2403.01427). Three
            classes are needed: of two, only which is greater would be left.
        weighting: how much each row counts, see `kd.knowledge.weighting`.
        weight, optional: see `Knowledge`.
    """

    least_classes: ClassVar[tuple[int, str]] = (1, "")  # and why
    same_classes: ClassVar[str] = ""  # why all rows need the same ones, where they do

    def __init__(
        self,
        distance: Distance,
        temperature: float | Schedule | None = None,
        standardise: bool = False,
        weighting: Weighting = even,
        weight: float | Schedule = 1.0,
        optional: bool = False,
    ):
        super().__init__(weight, optional)
        self.temperature = None if temperature is None else self.follow("temperature", temperature, zero=False)
        self.distance, self.standardise, self.weighting = distance, standardise, weighting
        self.problem = ONE_CLASS

    def connect(self, learner: Spec, teacher: Spec) -> None:
        self.problem = learner.problem

    def fits(self, learner: Spec, teacher: Spec) -> str | None:
        if learner.problem != teacher.problem:
            ours, theirs = (spec.problem.replace("_", " ") for spec in (learner, teacher))
            return f"the learner's task is {ours}, the teacher's {theirs}"
        if learner.classes != teacher.classes:
            return f"the learner has {learner.classes} classes, the teacher {teacher.classes}"
        if self.weighting is not even and (learner.problem == NUMBER or self.temperature is None):
            return "without probabilities there is nothing to weigh rows by; leave weighting out"
        classes = {ANY_LABEL: 2, SPANS: MANY}.get(learner.problem, learner.classes)
        if learner.problem in DIFFERING and (reason := LAST if self.standardise else self.same_classes):
            return f"{learner.problem.replace('_', ' ')}: {reason}"
        for least, reason in self._needs():
            if classes < least:
                return f"{classes} class{'' if classes == 1 else 'es'}: {reason}"
        return super().fits(learner, teacher)

    def _needs(self) -> list[tuple[int, str]]:
        needs = [self.least_classes]
        if self.temperature is not None:
            needs.append((2, "one number has no probabilities; say kd=logits"))
        if self.standardise:
            needs.append((3, "standardised logits of two say only which is greater; leave standardise out"))
        return needs

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        rows = self._rows(learner, teacher, batch.get("labels"))
        weights = self.weighting(rows.teacher, rows.labels) * rows.real
        costs = rows.scale * self.compare(self._ready(rows.learner), self._ready(rows.teacher), rows.labels, rows.real)
        labels_a_text = costs.shape[-1] if self._by_label else 1  # summed, as the loss on the labels is
        return labels_a_text * (costs * weights).sum() / weights.sum().clamp(min=1e-12)

    def _rows(self, learner: ModelOutput, teacher: ModelOutput, labels: Any) -> Rows:
        if learner.choices is not None and teacher.choices is not None:
            return self._chosen(learner.logits, teacher.logits, labels, learner.choices & teacher.choices)
        ours, theirs = learner.logits, teacher.logits
        if self._by_label:
            ours, theirs = (torch.stack([torch.zeros_like(logits), logits], -1) for logits in (ours, theirs))
        real = torch.ones(ours.shape[:-1], dtype=torch.bool, device=ours.device)
        for output in (learner, teacher):
            real = real if output.rows is None else real & output.rows
        return Rows(ours, theirs, labels, real)

    def _chosen(self, ours: Tensor, theirs: Tensor, labels: Any, common: Tensor) -> Rows:
        """What both can choose keeps its logits, the rest is alike on both sides.

        Args:
            ours, theirs: logits `[B, 2, N]` or `[B, N]`.
            labels: `[B, 2]` or `[B]`.
            common: `[B, N]`.
        """
        nothing = 0.0 if self.temperature is None else NEVER  # which a factor of one side leaves alike
        ours, theirs = (among(logits, common, nothing) for logits in (ours, theirs))
        common = (common if ours.dim() == 2 else common.unsqueeze(1)).expand_as(ours)
        real = common.any(-1)
        if labels is not None:
            place = labels.clamp(0, common.shape[-1] - 1)
            there = common.gather(-1, place.unsqueeze(-1)).squeeze(-1)
            labels = labels.where((labels == place) & there, IGNORED)
        if self.temperature is not None:
            return Rows(ours, theirs, labels, real)
        share = common.float().mean(-1).clamp(min=1e-12)  # the distance is a mean over what is alike, too
        return Rows(ours, theirs, labels, real, 1 / share)

    def compare(self, learner: Tensor, teacher: Tensor, labels: Tensor, real: Tensor) -> Tensor:
        """The distance `[...]` of logits `[..., C]`, or what stands for it.

        Args:
            learner, teacher: logits.
            labels: `[...]`, -100 where there is none.
            real: which rows `[...]` are.
        """
        return self.distance(learner, teacher, *(() if self.temperature is None else (self.temperature,)))

    def describe(self, learner: Spec, teacher: Spec) -> str:
        said = [f"T = {schedule}"] if (schedule := self.schedules.get("temperature")) else []
        return ", ".join([*said, *(["standardised"] if self.standardise else [])])

    @property
    def _by_label(self) -> bool:
        return self.problem == ANY_LABEL and self.temperature is not None

    def _ready(self, logits: Tensor) -> Tensor:
        return standardised(logits) if self.standardise else logits


class SoftTargets(Logits):
    """The teacher's class probabilities, softened: `T^2 KL(teacher || learner)`.

    Paper: Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv
    1503.02531. Averaged over rows (not over rows and classes, as some codes do, which makes their
    weights smaller by the number of classes).

    Args:
        temperature: T; 2 as in DistilBERT.
        standardise, weighting: see `Logits`.
        weight, optional: see `Knowledge`.
    """

    def __init__(self, temperature: float | Schedule = 2.0, **options: Any):
        super().__init__(soft_targets, temperature, **options)


class SoftenedTeacher(SoftTargets):
    """The teacher's softened probabilities beside the learner's own: `KL(softmax(z_t / T) || softmax(z_s))`.

    Paper: Yang et al., "Snapshot Distillation", 2019, arXiv 1812.00123: only the teacher is softened, which helps
    where it is hardly better than the learner; no factor T^2.

    Args:
        temperature: T, of the teacher alone; the paper has 2 to 3.
        standardise, weighting: see `Logits`.
        weight, optional: see `Knowledge`.
    """

    def compare(self, learner: Tensor, teacher: Tensor, labels: Tensor, real: Tensor) -> Tensor:
        assert self.temperature is not None
        return soft_targets(learner, teacher / self.temperature)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"{super().describe(learner, teacher)}, of the teacher alone"


class AnnealedLogits(Logits):
    """The teacher's logits, which grow to their full size: `(z_s - phi z_t)^2`, phi from 1/steps to 1.

    Paper: Jafari et al., "Annealing Knowledge Distillation", 2021, arXiv 2104.07163: phi rises in so many steps of
    about as many epochs each; the learner is not scaled. A second stage on the labels alone follows.

    Args:
        steps: the paper's highest temperature.
        weight, optional: see `Knowledge`.
    """

    def __init__(self, steps: int = 7, weight: float | Schedule = 1.0, optional: bool = False):
        if not isinstance(steps, int) or steps < 1:
            raise UserError(f"kd.terms: steps {steps!r} is not a whole number above 0")
        super().__init__(mse, weight=weight, optional=optional)
        self.steps, self.factor = steps, 1 / steps

    def at(self, moment: Moment) -> None:
        super().at(moment)
        self.factor = math.ceil((moment.epoch + 1) * self.steps / moment.epochs) / self.steps

    def compare(self, learner: Tensor, teacher: Tensor, labels: Tensor, real: Tensor) -> Tensor:
        return mse(learner, self.factor * teacher)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"in {self.steps} steps"


class DecoupledTargets(SoftTargets):
    """Soft targets in two parts: how sure of the true class (`target`), and how the others share the rest (`others`).

    Paper: Zhao et al., "Decoupled Knowledge Distillation", 2022, arXiv 2203.08679. With both weights 1, the second
    part in soft targets counts `1 - p` of the true class; here all rows alike. Rows without label take the class
    that the teacher thinks true. In the authors' code the weight rises from 0 over the first epochs.

    Args:
        target, others: weights of the two parts; the paper has 1, and 0.5 to 8 by pair of models.
        temperature, standardise, weighting: see `SoftTargets`.
        weight, optional: see `Knowledge`.
    """

    least_classes: ClassVar[tuple[int, str]] = (3, "there is but one other class; say kd=response")

    def __init__(self, target: float = 1.0, others: float = 8.0, temperature: float | Schedule = 4.0, **options: Any):
        super().__init__(temperature, **options)
        self.target, self.others = target, others

    def compare(self, learner: Tensor, teacher: Tensor, labels: Tensor, real: Tensor) -> Tensor:
        assert self.temperature is not None
        true = labels.where(labels >= 0, teacher.argmax(-1)).unsqueeze(-1)
        ours, theirs = learner / self.temperature, teacher / self.temperature
        sure = kl(true_and_rest(ours, true), true_and_rest(theirs, true))
        shared = kl(F.log_softmax(without(ours, true), -1), F.log_softmax(without(theirs, true), -1))
        return self.temperature**2 * (self.target * sure + self.others * shared)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"{super().describe(learner, teacher)}, true class {self.target:g}, others {self.others:g}"


class Correlations(SoftTargets):
    """How each row's class probabilities go together with the teacher's, and how each class's do over the batch.

    Paper: Huang et al., "Knowledge Distillation from A Stronger Teacher" (DIST), 2022, arXiv 2205.10536: one minus
    Pearson's correlation, which does not mind a stronger teacher's sharper probabilities. As in the authors' code for
    classification, the loss has the factor `T^2`; its weight there is 2.

    Args:
        rows, classes: weights of the two parts. Of two classes a row's correlation is 1 or -1 and teaches nothing:
            then `rows` has to be 0.
        temperature, standardise: see `SoftTargets`.
        weight, optional: see `Knowledge`.
    """

    same_classes = "what one text chooses among is not what another one does; say kd=response"

    def __init__(self, rows: float = 1.0, classes: float = 1.0, temperature: float | Schedule = 1.0, **options: Any):
        super().__init__(temperature, **options)
        self.rows, self.classes = rows, classes

    def _needs(self) -> list[tuple[int, str]]:
        return [*super()._needs(), (3 if self.rows else 1, "a row's correlation teaches nothing; set rows to 0")]

    def compare(self, learner: Tensor, teacher: Tensor, labels: Tensor, real: Tensor) -> Tensor:
        assert self.temperature is not None
        ours, theirs = ((logits / self.temperature).softmax(-1).flatten(0, -2) for logits in (learner, teacher))
        count = real.flatten().unsqueeze(-1).to(ours.dtype)
        between = 1 - pearson(ours, theirs, torch.ones_like(ours)).reshape(real.shape)
        within = 1 - pearson(ours.T, theirs.T, count.T.expand_as(ours.T)).mean()
        return self.temperature**2 * (self.rows * between + self.classes * within)

    def describe(self, learner: Spec, teacher: Spec) -> str:
        return f"{super().describe(learner, teacher)}, rows {self.rows:g}, classes {self.classes:g}"


def standardised(logits: Tensor) -> Tensor:
    """Logits `[..., C]` with mean 0 and (unbiased) standard deviation 1 in each row."""
    return (logits - logits.mean(-1, keepdim=True)) / (logits.std(-1, keepdim=True) + 1e-7)


def true_and_rest(logits: Tensor, true: Tensor) -> Tensor:
    """Log-probabilities `[..., 2]` of the true class `[..., 1]` and of all others together."""
    rest = without(logits, true).logsumexp(-1, keepdim=True)
    return F.log_softmax(torch.cat([logits.gather(-1, true), rest], -1), -1)


def without(logits: Tensor, true: Tensor) -> Tensor:
    """Logits `[..., C - 1]` of all classes but the true one `[..., 1]`."""
    others = torch.arange(logits.shape[-1] - 1, device=logits.device).expand(*logits.shape[:-1], -1)
    return logits.gather(-1, others + (others >= true))


def pearson(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
    """Correlation of the rows of `[N, K]`, entries weighted; 1 where both are constant, 0 where one is."""
    total = weights.sum(-1, keepdim=True).clamp(min=1e-12)
    x, y = ((some - (weights * some).sum(-1, keepdim=True) / total) * weights.sqrt() for some in (x, y))
    constant = (x.abs().amax(-1) < 1e-8) & (y.abs().amax(-1) < 1e-8)
    return F.cosine_similarity(x, y, dim=-1, eps=1e-8).masked_fill(constant, 1.0)
