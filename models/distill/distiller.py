"""Base class of all distillation losses, which says what a loss needs, and the checks that they share."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from math import inf

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..backbones import MODELS
from ..backbones.contract import POOLED, PREACT
from ..backbones.output import Output
from .own_optimizer import OptimizerSettings
from .schedule import Schedule

log = logging.getLogger(__name__)

NORMS = ("none", "variance")
LEVELS = (*next(iter(MODELS.values())).build.stages, POOLED)  # of the network that is the default


class Distiller(nn.Module):
    """A term of the distillation loss: `loss(student, teacher, target) -> {"loss_*": weighted scalar}`.

    A subclass whose constructor has arguments `student` and `teacher` is given both networks' `OutputShapes`. Its other
    arguments are by keyword, with plain values. Parameters are trained with the student, unless it has an `optimizer`.

    Args:
        warmup_epochs: The weight rises linearly over this many epochs; 0 starts in full.
        compared: Features of the student -> those of the teacher that must have their shape.

    Attributes:
        compares_logits: Whether both networks must have the same classes.
        needs_labels: Whether `target` is read.
        detaches_head: Whether cross-entropy may train the classifier only (MERS).
        least_clips: Of a batch that it can learn from.
        equal_channels: Whether `compared` features must have equal channels, and not time, height and width alone.
        optimizer: Of its own parameters, as an adversary's; None trains them with the student.
        name: What it is called in logs.
        factor: On all terms.
        schedule: Of a further factor over the epochs, in training alone.
        projectors: By feature of the student; they are trained with it.
    """

    compares_logits = False
    needs_labels = False
    detaches_head = False
    least_clips = 1
    equal_channels = True
    optimizer: OptimizerSettings | None = None

    def __init__(self, warmup_epochs: int = 0, compared: Mapping[str, str] | None = None) -> None:
        super().__init__()
        if warmup_epochs < 0:
            raise ValueError(f"--distill_warmup must be >= 0 epochs, got {warmup_epochs}")
        self.warmup_epochs, self.compared = warmup_epochs, dict(compared or {})
        self.name, self.factor, self.projectors = type(self).__name__, 1.0, nn.ModuleDict()
        self.schedule = Schedule()

    @property
    def teacher_features(self) -> set[str]:
        """Return the teacher's features that it reads, beside the pooled vector and the logits."""
        return set(self.compared.values())

    def warmup(self, epoch: int) -> float:
        """Return the factor in (0, 1] of an epoch counted from 1."""
        return min(1.0, epoch / self.warmup_epochs) if self.warmup_epochs else 1.0

    def strength(self, epoch: int) -> float:
        """Return the factor on all terms in an epoch counted from 1; validation measures without the schedule."""
        return self.factor * self.warmup(epoch) * (self.schedule(epoch) if self.training else 1.0)

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        """Compute the terms for the student; `target` is None where a batch has no labels."""
        raise NotImplementedError

    def own_loss(self, student: Output, teacher: Output, target: Tensor | None) -> Tensor:
        """Compute what its own optimiser lowers, a scalar; nothing of the student or the teacher has a gradient."""
        raise NotImplementedError

    def own_parameters(self) -> dict[str, nn.Parameter]:
        """Return the parameters of its own optimiser, by name; {} without one."""
        if self.optimizer is None:
            return {}
        return {name: p for name, p in self.named_parameters() if not name.startswith("projectors.")}

    def terms(self, student: Output, teacher: Output, target: Tensor | None) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return the terms for the student, and what its own optimiser lowers; None without one.

        No parameter has a gradient from both, so that their sum can be lowered in one backward pass.
        """
        student = self.projected(student)
        parameters = self.own_parameters()
        if not parameters:
            return self(student, teacher, target), None
        fixed = {name: parameter.detach() for name, parameter in parameters.items()}
        terms = functional_call(self, fixed, (student, teacher, target))
        constant = Output(student.logits.detach(), {name: x.detach() for name, x in student.features.items()})
        return terms, self.own_loss(constant, teacher, target)

    def projected(self, student: Output) -> Output:
        """Return the student's output with features in the shape of the teacher's, where there are projectors."""
        shaped = {name: projector(student.features[name]) for name, projector in self.projectors.items()}
        return Output(student.logits, {**student.features, **shaped}) if shaped else student


def check_weight(option: str, value: float) -> float:
    """Return `value`, if it can weigh a loss; raises ValueError if it is negative, infinite or NaN."""
    if not 0 <= value < inf:
        raise ValueError(f"{option} must be >= 0 and finite, got {value}")
    return value


def check_temperature(option: str, value: float) -> float:
    """Return `value`, if logits can be divided by it; raises ValueError if it is not positive, infinite or NaN."""
    if not 0 < value < inf:
        raise ValueError(f"{option} must be > 0 and finite, got {value}")
    return value


def check_norm(norm: str) -> str:
    """Return `norm`, if there is one of this name; raises ValueError if not."""
    if norm not in NORMS:
        raise ValueError(f"--distill_norm {norm}: choose one of {', '.join(NORMS)}")
    return norm


def check_levels(option: str, levels: Sequence[str], student: Iterable[str], teacher: Iterable[str]) -> dict[str, str]:
    """Return the teacher's feature for each level of the student, from the names of both networks' features.

    Raises:
        ValueError: If there is none, or no level; lists those that are, and names the option.
    """
    known = [level for level in student if counterpart(level, student, teacher)]
    unknown = [level for level in levels if level not in known]
    if unknown or not levels:
        raise ValueError(f"{option} {' '.join(unknown) or '(none)'}: choose among {', '.join(known)}")
    return {level: counterpart(level, student, teacher) for level in levels}


def stages_of(features: Iterable[str]) -> list[str]:
    """Return the stages among the names of features, in forward order."""
    return [name for name in features if name != POOLED and not name.endswith(PREACT)]


def review_levels(levels: Sequence[str], features: Iterable[str], teacher: Iterable[str] | None = None) -> list[str]:
    """Return the levels to review.

    Args:
        levels: That are asked for; none, or those of the default network, are all of the network: its stages and the
            pooled vector.
        features: Of the network.
        teacher: Features of its teacher; of all levels those are left that have a `counterpart` there.
    """
    if levels and tuple(levels) != LEVELS:
        return list(levels)
    every = [*stages_of(features), POOLED]
    return every if teacher is None else [level for level in every if counterpart(level, features, teacher)]


def log_unpaired(loss: str, levels: Iterable[str], compared: Iterable[str]) -> None:
    """Log the levels of a student that a loss leaves out, as the teacher has fewer stages."""
    if left_out := [level for level in levels if level not in compared]:
        log.info("%s: leaves out %s of the student, for the teacher has fewer stages", loss, ", ".join(left_out))


def counterpart(level: str, student: Iterable[str], teacher: Iterable[str]) -> str:
    """Return the teacher's feature for a student's: of the stage as far from the last one; "" if there is none.

    Last stages are paired, as they are nearest to the classes, whatever the names and however many there are.
    """
    theirs = list(teacher)
    stage, end = level.removesuffix(PREACT), PREACT if level.endswith(PREACT) else ""
    pairs = zip(reversed(stages_of(student)), reversed(stages_of(theirs)), strict=False)
    name = POOLED if level == POOLED else dict(pairs).get(stage, "") + end
    return name if name in theirs else ""


def error_divisor(teacher: Tensor, norm: str) -> Tensor | float:
    """Return the divisor of a squared error on this teacher feature.

    Features of different levels and networks differ in size by orders of magnitude; divided by the variance,
    an error of 1 means "no better than the mean" at every level, so one weight fits all.

    Args:
        teacher: Feature of the batch, any shape, float32.
        norm: "none" divides by 1, "variance" by the variance over all elements.
    """
    return teacher.var().clamp_min(1e-6) if norm == "variance" else 1.0


def at_least_float32(x: Tensor) -> Tensor:
    """Return `x` in float32, or as it is if it is more precise: losses on half-precision logits overflow."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
