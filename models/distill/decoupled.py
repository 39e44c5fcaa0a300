"""Decoupled knowledge distillation (Zhao et al., CVPR 2022, https://arxiv.org/abs/2203.08679)."""

import torch.nn.functional as F
from torch import Tensor

from ..backbones.output import Output
from .distiller import Distiller, at_least_float32, check_temperature, check_weight
from .logit_kd import standardised


def decoupled_kd(student: Tensor, teacher: Tensor, target: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Compute target-class and non-target-class KL divergences, eqs. (6)-(7), each times T^2.

    Computed in float32 on log-probabilities, so it stays finite at any logit scale.

    Args:
        student: Logits, shape (N, K), K >= 2.
        teacher: Logits, shape (N, K).
        target: Class indices, shape (N,), in [0, K).
        temperature: Softmax temperature, > 0.

    Returns:
        TCKD and NCKD, batch means, scalars >= 0, zero when the two logits agree.
    """
    is_target = F.one_hot(target, student.shape[1]).bool()
    s, t = (log_parts(z, is_target, temperature) for z in (student, teacher))
    tckd = (t[0].exp() * (t[0] - s[0]) + t[1].exp() * (t[1] - s[1])).mean()
    nckd = (t[2].exp() * (t[2] - s[2])).masked_fill(is_target, 0).sum(1).mean()
    return tckd * temperature**2, nckd * temperature**2


def log_parts(logits: Tensor, is_target: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Compute log p(target) (N,), log p(not target) (N,), and log-probabilities within the other classes (N, K).

    The last is zero in the target's column. Taking the column out of the sums needs no large negative constant,
    which logits of that size would defeat.
    """
    z = at_least_float32(logits) / temperature
    all_classes = z.logsumexp(1)
    nontarget = z.masked_fill(is_target, -float("inf")).logsumexp(1)
    target_logit = z.masked_fill(~is_target, 0).sum(1)
    return target_logit - all_classes, nontarget - all_classes, (z - nontarget[:, None]).masked_fill(is_target, 0)


class DecoupledKD(Distiller):
    """alpha TCKD + beta NCKD, logged apart.

    Args:
        alpha: Weight of the target-class term, >= 0.
        beta: Weight of the non-target-class term, >= 0.
        temperature: > 0.
        standardise: Whether logits are `standardised` before.
    """

    compares_logits = True
    needs_labels = True

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        beta: float = 1.0,
        temperature: float = 2.0,
        standardise: bool = False,
        warmup_epochs: int = 0,
    ) -> None:
        super().__init__(warmup_epochs)
        self.alpha, self.beta = check_weight("--dkd_alpha", alpha), check_weight("--dkd_beta", beta)
        self.temperature = check_temperature("--dkd_temperature", temperature)
        self.prepare = standardised if standardise else at_least_float32

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        assert target is not None
        s, t = (self.prepare(output.logits) for output in (student, teacher))
        tckd, nckd = decoupled_kd(s, t, target, self.temperature)
        return {"loss_tckd": self.alpha * tckd, "loss_nckd": self.beta * nckd}
