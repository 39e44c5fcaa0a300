"""Distillation of logits, by KL divergence (Hinton et al., 2015, https://arxiv.org/abs/1503.02531) and others."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from ..backbones.output import Output
from .distiller import Distiller, at_least_float32, check_temperature, check_weight


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


def standardised(logits: Tensor) -> Tensor:
    """Return logits (N, K), K >= 2, of mean 0 and standard deviation 1 in each row.

    The student then learns how the teacher's logits compare and not how large they are (Sun et al., CVPR 2024,
    https://arxiv.org/abs/2403.01427).
    """
    z = at_least_float32(logits)
    return (z - z.mean(1, keepdim=True)) / (z.std(1, keepdim=True) + 1e-7)


class LogitKD(Distiller):
    """Weighted `logit_kd` as a module.

    Args:
        weight: >= 0.
        temperature: > 0.
        standardise: Whether logits are `standardised` before; that paper weighs the loss by 9, at temperature 2.
    """

    compares_logits = True

    def __init__(
        self, *, weight: float = 0.9, temperature: float = 4.0, standardise: bool = False, warmup_epochs: int = 0
    ) -> None:
        super().__init__(warmup_epochs)
        self.weight = check_weight("--kd_weight", weight)
        self.temperature = check_temperature("--kd_temperature", temperature)
        self.prepare = standardised if standardise else at_least_float32

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        s, t = (self.prepare(output.logits) for output in (student, teacher))
        return {"loss_kd": self.weight * logit_kd(s, t, self.temperature)}


# Of logits over the temperature, student's and teacher's, (N, K); means as Distil-2D-3D takes them.
DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "ce": lambda student, teacher: F.cross_entropy(student, teacher.argmax(1)),
    "kl": lambda student, teacher: logit_kd(student, teacher, 1.0),
}


class LogitMatch(Distiller):
    """Distance between the logits of student and teacher, which needs no labels.

    Args:
        distance: A key of `DISTANCES`: mean absolute or squared difference, cross-entropy against the teacher's best
            class, or KL(teacher || student) without the factor T^2 of `LogitKD`.
        weight: >= 0.
        temperature: Logits are divided by it, > 0.
    """

    compares_logits = True

    def __init__(
        self, *, distance: str = "l2", weight: float = 1.0, temperature: float = 1.0, warmup_epochs: int = 0
    ) -> None:
        super().__init__(warmup_epochs)
        if distance not in DISTANCES:
            raise ValueError(f"--loss_args logits.distance={distance}: choose one of {', '.join(DISTANCES)}")
        self.distance, self.temperature = distance, check_temperature("--loss_args logits.temperature", temperature)
        self.weight = check_weight("--loss_args logits.weight", weight)

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        s, t = (at_least_float32(output.logits) / self.temperature for output in (student, teacher))
        return {"loss_logits": self.weight * DISTANCES[self.distance](s, t)}
