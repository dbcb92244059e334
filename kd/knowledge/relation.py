"""Knowledge in how the examples of a batch lie to one another; widths and tokenizers need not agree."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor
from torch.nn import functional as F

from kd.knowledge.base import Knowledge
from kd.knowledge.distances import pairwise
from models.output import Field, Fields, ModelOutput, Spec

SMALLEST = 1e-12


class Relation(Knowledge):
    """Compares structures among the sentence vectors of a batch, a vector being the mean of the last layer.

    Subclasses say how many rows a structure needs and how two sets of vectors compare. A batch with
    fewer rows gives zero.
    """

    rows: ClassVar[int] = 2
    layers: tuple[int, int]  # of learner and teacher

    def requires(self, learner: Spec, teacher: Spec) -> tuple[Fields, Fields]:
        return frozenset({Field("mean_states", learner.layers)}), frozenset({Field("mean_states", teacher.layers)})

    def connect(self, learner: Spec, teacher: Spec) -> None:
        self.layers = learner.layers, teacher.layers

    @abstractmethod
    def compare(self, learner: Tensor, teacher: Tensor) -> Tensor:
        """The loss between vectors `[B, H_learner]` and `[B, H_teacher]`."""

    def forward(self, learner: ModelOutput, teacher: ModelOutput, batch: Mapping[str, Any]) -> Tensor:
        mine, its = self.layers
        ours, theirs = learner.mean_states[mine], teacher.mean_states[its]
        return self.compare(ours, theirs) if len(ours) >= self.rows else ours.sum() * 0


class DistanceRelation(Relation):
    """Distances between examples, each side in units of its own mean distance (RKD-D).

    Paper: Park et al., "Relational Knowledge Distillation", 2019, arXiv 1904.05068. Huber loss over
    all ordered pairs, equal ones counted, as in the authors' code.
    """

    def compare(self, learner: Tensor, teacher: Tensor) -> Tensor:
        return F.smooth_l1_loss(relative_distances(learner), relative_distances(teacher))


class AngleRelation(Relation):
    """The angle that each example sees between each two others (RKD-A).

    Paper: Park et al., "Relational Knowledge Distillation", 2019, arXiv 1904.05068. Huber loss over
    all triples, so time and memory grow with the cube of the batch.
    """

    rows: ClassVar[int] = 3

    def compare(self, learner: Tensor, teacher: Tensor) -> Tensor:
        return F.smooth_l1_loss(angles(learner), angles(teacher))


class SimilarityPreserving(Relation):
    """Each example's similarities to all others, as a direction (SP).

    Paper: Tung & Mori, "Similarity-Preserving Knowledge Distillation", 2019, arXiv 1907.09682:
    `||G_s - G_t||_F^2 / B^2`, G the matrix of dot products with its rows normalised. Its weight
    there is 3000.
    """

    def compare(self, learner: Tensor, teacher: Tensor) -> Tensor:
        return F.mse_loss(similarities(learner), similarities(teacher))


def relative_distances(x: Tensor) -> Tensor:
    """Distances `[N, N]` between the rows of `[N, H]`, divided by their mean over unequal pairs."""
    distances = pairwise(x)
    count = len(x) * (len(x) - 1)
    return distances / (distances.sum() / count).clamp(min=SMALLEST)


def angles(x: Tensor) -> Tensor:
    """Cosines `[N, N, N]`: entry (j, i, k) is the angle at row j between rows i and k."""
    directions = F.normalize(x.unsqueeze(0) - x.unsqueeze(1), dim=-1, eps=SMALLEST)
    return directions @ directions.transpose(1, 2)


def similarities(x: Tensor) -> Tensor:
    """Dot products `[N, N]` of the rows of `[N, H]`, each row of the matrix normalised."""
    return F.normalize(x @ x.T, dim=1)
