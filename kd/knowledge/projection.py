"""From the learner's width to the teacher's."""

from torch import nn


def projection(learner: int, teacher: int) -> nn.Module:
    """A linear map where the widths differ, else none (FitNets' regressor, arXiv 1412.6550).

    It belongs to the learner, is trained with it, and is left behind when the student is saved.
    """
    return nn.Identity() if learner == teacher else nn.Linear(learner, teacher)
