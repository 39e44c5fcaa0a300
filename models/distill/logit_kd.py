"""Knowledge distillation on logits (Hinton et al., 2015, https://arxiv.org/abs/1503.02531)."""

import torch.nn.functional as F
from torch import Tensor

from ..backbones.output import Output
from .distiller import Distiller, at_least_float32, check_weight


def logit_kd(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Compute KL(softmax(teacher / T) || softmax(student / T)) T^2, mean over the batch.

    Args:
        student: Logits, shape (N, K).
        teacher: Logits, shape (N, K).
        temperature: > 0.

    Returns:
        Scalar >= 0, zero when the two agree up to a constant per row.
    """
    s, t = (F.log_softmax(at_least_float32(z) / temperature, 1) for z in (student, teacher))
    return F.kl_div(s, t, reduction="batchmean", log_target=True) * temperature**2


class LogitKD(Distiller):
    """Weighted `logit_kd` as a module.

    Args:
        weight: >= 0.
        temperature: > 0.
        warmup_epochs: As in `Distiller`.
    """

    compares_logits = True

    def __init__(self, *, weight: float = 0.9, temperature: float = 4.0, warmup_epochs: int = 0) -> None:
        super().__init__(warmup_epochs)
        if temperature <= 0:
            raise ValueError(f"--kd_temperature must be > 0, got {temperature}")
        self.weight, self.temperature = check_weight("--kd_weight", weight), temperature

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        return {"loss_kd": self.weight * logit_kd(student.logits, teacher.logits, self.temperature)}
