"""How much each row of a batch counts: functions of the teacher's logits `[..., C]` and the labels `[...]` to `[...]`.

Weights are relative: a term divides by their sum. Rows without label have the label -100.
"""

from torch import Tensor


def even(teacher: Tensor, labels: Tensor) -> Tensor:
    """All the same."""
    return teacher.new_ones(teacher.shape[:-1])


def confident(teacher: Tensor, labels: Tensor) -> Tensor:
    """As much as the teacher's highest probability (CWTM, Furlanello et al., 2018, arXiv 1805.04770)."""
    return teacher.softmax(-1).amax(-1)


def correct(teacher: Tensor, labels: Tensor) -> Tensor:
    """Only where the teacher is right; where nobody knows, as much as it is sure."""
    right = (teacher.argmax(-1) == labels).to(teacher.dtype)
    return right.where(labels >= 0, confident(teacher, labels))


def sure(teacher: Tensor, labels: Tensor, threshold: float = 0.9) -> Tensor:
    """Only rows without label to whose most likely class the teacher gives at least so much."""
    return ((labels < 0) & (confident(teacher, labels) >= threshold)).to(teacher.dtype)
