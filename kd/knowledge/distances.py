"""How far two tensors are apart: pure functions that reduce the last dimension.

Each takes what the learner and what the teacher gives, of the same shape `[..., H]`, and gives `[...]`, zero for
equal ones unless it says otherwise. Those of logits take a temperature T, which divides both sides' logits before
softmax; their factor `T^2` keeps the gradient's size when T changes.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference."""
    return (x - y).square().mean(-1)


def normalised_mse(x: Tensor, y: Tensor) -> Tensor:
    """Squared distance of the two directions, in [0, 4] (PKD, Sun et al., 2019, arXiv 1908.09355)."""
    return (F.normalize(x, dim=-1) - F.normalize(y, dim=-1)).square().sum(-1)


def standardised_mse(x: Tensor, y: Tensor) -> Tensor:
    """Mean squared difference of what layer normalisation makes of both (MobileBERT, arXiv 2004.02984)."""
    return mse(F.layer_norm(x, x.shape[-1:]), F.layer_norm(y, y.shape[-1:]))


def cosine(x: Tensor, y: Tensor) -> Tensor:
    """One minus the cosine, in [0, 2] (DistilBERT, Sanh et al., 2019, arXiv 1910.01108)."""
    return 1 - F.cosine_similarity(x, y, dim=-1)


def smooth_l1(x: Tensor, y: Tensor) -> Tensor:
    """Mean Huber loss with threshold 1: squares near zero, straight beyond."""
    return F.smooth_l1_loss(x, y, reduction="none").mean(-1)


def soft_targets(learner: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """`T^2 KL(teacher || learner)` of `[..., C]` logits (Hinton et al., 2015, arXiv 1503.02531)."""
    q, p = _log_probabilities(learner, teacher, temperature)
    return kl(q, p) * temperature**2


def reverse_kl(learner: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """`T^2 KL(learner || teacher)` of `[..., C]` logits, which seeks one mode (MiniLLM, arXiv 2306.08543)."""
    q, p = _log_probabilities(learner, teacher, temperature)
    return kl(p, q) * temperature**2


def jensen_shannon(learner: Tensor, teacher: Tensor, temperature: float = 1.0, mix: float = 0.5) -> Tensor:
    """`T^2 (b KL(p || m) + (1 - b) KL(q || m))` with `m = b p + (1 - b) q`, p the teacher's softmax, q the learner's.

    Paper: generalised Jensen-Shannon divergence of GKD (Agarwal et al., 2023, arXiv 2306.13649). Divided by b it is
    the forward divergence where b goes to 0, divided by 1 - b the reverse one where b goes to 1; b = 1/2 is symmetric.

    Args:
        learner, teacher: logits `[..., C]`.
        temperature: T.
        mix: b, above 0 and below 1.
    """
    q, p = _log_probabilities(learner, teacher, temperature)
    m = torch.logaddexp(p + math.log(mix), q + math.log(1 - mix))
    return (mix * kl(m, p) + (1 - mix) * kl(m, q)) * temperature**2


def soft_cross_entropy(learner: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """`-T^2 sum p log q` of `[..., C]` logits; for equal ones the teacher's entropy, not zero.

    Paper: the prediction loss of TinyBERT (Jiao et al., 2019, arXiv 1909.10351) at T = 1. Its gradients are those
    of `soft_targets`.
    """
    q, p = _log_probabilities(learner, teacher, temperature)
    return -(p.exp() * q).sum(-1) * temperature**2


def hard_targets(learner: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """The learner's cross-entropy with the teacher's most likely class, of `[..., C]` logits; not zero for equal ones.

    A temperature softens the learner.
    """
    q, p = _log_probabilities(learner, teacher, temperature)
    return -q.gather(-1, p.argmax(-1, keepdim=True)).squeeze(-1)


def kl(learner: Tensor, teacher: Tensor) -> Tensor:
    """`KL(teacher || learner)` of log-probabilities `[..., C]`."""
    return F.kl_div(learner, teacher, reduction="none", log_target=True).sum(-1)


def _log_probabilities(learner: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    return F.log_softmax(learner / temperature, dim=-1), F.log_softmax(teacher / temperature, dim=-1)
