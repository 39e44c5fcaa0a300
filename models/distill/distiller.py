"""Base class and checks of all distillation losses."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..backbones.output import Output

NORMS = ("none", "variance")


class Distiller(nn.Module):
    """A term of the distillation loss: `loss(student, teacher, target) -> {"loss_*": weighted scalar}`.

    Args:
        warmup_epochs: The weight rises linearly over this many epochs; 0 starts in full.

    Attributes:
        detaches_head: Whether cross-entropy may train the classifier only (MERS).
    """

    detaches_head = False

    def __init__(self, warmup_epochs: int = 0) -> None:
        super().__init__()
        if warmup_epochs < 0:
            raise ValueError(f"--distill_warmup must be >= 0 epochs, got {warmup_epochs}")
        self.warmup_epochs = warmup_epochs

    def warmup(self, epoch: int) -> float:
        """Return the factor in (0, 1] of an epoch counted from 1."""
        return min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else 1.0

    def forward(self, student: Output, teacher: Output, target: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError


def check_weight(option: str, value: float) -> float:
    """Return `value`, if it can weigh a loss.

    Raises:
        ValueError: If it is negative.
    """
    if value < 0:
        raise ValueError(f"{option} must be >= 0, got {value}")
    return value


def check_levels(option: str, levels: Sequence[str], channels: dict[str, int]) -> None:
    """Check that every level is a feature of the network.

    Raises:
        ValueError: If one is not; lists those that are.
    """
    unknown = [level for level in levels if level not in channels]
    if unknown or not levels:
        raise ValueError(f"{option} {' '.join(unknown) or '(none)'}: choose among {', '.join(channels)}")


def spread(teacher: Tensor, norm: str) -> Tensor | float:
    """Return the divisor of a squared error on this teacher feature.

    Features of different levels and networks differ in size by orders of magnitude; divided by the variance,
    an error of 1 means "no better than the mean" at every level, so one weight fits all.

    Args:
        teacher: Feature of the batch, any shape, float32.
        norm: "none" divides by 1, "variance" by the variance over all elements.
    """
    return teacher.var().clamp_min(1e-6) if norm == "variance" else 1.0


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x` in float32, or as it is if it is more precise: losses on half-precision logits overflow.

    What a teacher made in inference mode is copied, as autograd does not keep such tensors.
    """
    return x.to(torch.promote_types(x.dtype, torch.float32), copy=x.is_inference())
