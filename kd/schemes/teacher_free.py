"""A student and a teacher made by hand."""

from collections.abc import Iterator, Mapping

from torch import Tensor
from torch.nn import functional as F

from kd.schemes.base import STUDENT, Lesson, Pair, Scheme, Step, logits_only
from kd.schemes.group import saying
from models.heads import ONE_CLASS
from models.output import Spec
from potstill.errors import UserError

BY_HAND = "by_hand"


class TeacherFree(Scheme):
    """The student learns from labels and from a made-up teacher that is nearly always right and softened (Tf-KD_reg).

    Paper: Yuan et al., "Revisit Knowledge Distillation: a Teacher-free Framework", 2020, arXiv 1909.11723. As in the
    authors' code, the softmax is taken of the teacher's probabilities divided by T, and the student is not
    softened (`kd=kl`); unlike there, the divergence is averaged over rows alone, not over rows and classes.

    Args:
        weight: of what the teacher says; the labels have the rest of 1.
        correct: its probability of the true class.
        temperature: T; None leaves its probabilities as they are: label smoothing (Szegedy et al., 2015, arXiv
            1512.00567), all classes but the true one sharing alike.
    """

    takes_unlabelled = False
    suits = frozenset({ONE_CLASS})

    def __init__(self, weight: float = 0.1, correct: float = 0.99, temperature: float | None = 20.0):
        super().__init__()
        for key, value in (("weight", weight), ("correct", correct)):
            if not 0 <= value <= 1:
                raise UserError(f"scheme.{key}: {value} is not a number from 0 to 1")
        if temperature is not None and not temperature > 0:
            raise UserError(f"scheme.temperature: {temperature} is not above 0")
        self.weight, self.correct, self.temperature = weight, correct, temperature

    def pairs(self, specs: Mapping[str, Spec]) -> list[Pair]:
        student = specs[STUDENT]
        return [Pair(STUDENT, student, BY_HAND, logits_only(student, BY_HAND), sources=())]

    def lessons(self, pairs: list[Pair], step: Step) -> Iterator[Lesson]:
        student, labels = step.run(STUDENT), step.batch["labels"]
        probabilities = self.probabilities(labels, student.logits.shape[-1])
        said = probabilities.clamp(min=1e-30).log() if self.temperature is None else probabilities / self.temperature
        for pair in pairs:
            yield Lesson(pair, student, saying(said, student), self.weight, 1 - self.weight)

    def probabilities(self, labels: Tensor, classes: int) -> Tensor:
        """The teacher's, before it is softened: `[B, C]`."""
        gold = F.one_hot(labels, classes).float()
        return gold * self.correct + (1 - gold) * (1 - self.correct) / (classes - 1)
