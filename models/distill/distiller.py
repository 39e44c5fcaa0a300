"""Base class and checks of all distillation losses."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from ..backbones import MODELS
from ..backbones.contract import POOLED, PREACT
from ..backbones.output import Output

NORMS = ("none", "variance")
LEVELS = (*next(iter(MODELS.values())).build.stages, POOLED)  # of the network that is the default


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


def check_levels(
    option: str, levels: Sequence[str], student: Mapping[str, int], teacher: Mapping[str, int]
) -> dict[str, str]:
    """Return the teacher's feature for each level of the student.

    Args:
        option: Names the levels.
        levels: Features of the student.
        student: Those that there are, with their channels.
        teacher: Likewise.

    Raises:
        ValueError: If there is none; lists those that are.
    """
    known = [level for level in student if counterpart(level, student, teacher)]
    unknown = [level for level in levels if level not in known]
    if unknown or not levels:
        raise ValueError(f"{option} {' '.join(unknown) or '(none)'}: choose among {', '.join(known)}")
    return {level: counterpart(level, student, teacher) for level in levels}


def stages_of(features: Iterable[str]) -> list[str]:
    """Return the stages among the names of features, in forward order."""
    return [name for name in features if name != POOLED and not name.endswith(PREACT)]


def reviewed(levels: Sequence[str], features: Iterable[str]) -> list[str]:
    """Return the levels to review: those of the network in place of the default network's, which are the default."""
    return list(levels) if levels and tuple(levels) != LEVELS else [*stages_of(features), POOLED]


def counterpart(level: str, student: Iterable[str], teacher: Iterable[str]) -> str:
    """Return the teacher's feature for a student's: that of its name, else as far from the last stage; "" for none."""
    theirs = list(teacher)
    if level in theirs:
        return level
    stage, end = level.removesuffix(PREACT), PREACT if level.endswith(PREACT) else ""
    pairs = zip(reversed(stages_of(student)), reversed(stages_of(theirs)), strict=False)
    name = dict(pairs).get(stage, "") + end
    return name if name in theirs else ""


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
