"""Optimiser of a loss's own parameters, such as those of a discriminator."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

KINDS = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


@dataclass(frozen=True)
class OptimizerSettings:
    """Settings of an optimiser, which steps whenever the student's does, at a learning rate of its own.

    Attributes:
        kind: A key of `KINDS`.
        lr: Learning rate, > 0.
        momentum: Of SGD, in [0, 1).
        betas: Of Adam and AdamW, each in [0, 1).
        weight_decay: >= 0; decoupled with AdamW.
        milestones: Epochs after which the learning rate is multiplied by `gamma`, each >= 1; (0,) for none.
        gamma: > 0.

    Raises:
        ValueError: If a value is out of range.
    """

    kind: str = "adam"
    lr: float = 1e-3
    momentum: float = 0.9
    betas: tuple[float, ...] = (0.9, 0.999)
    weight_decay: float = 0.0
    milestones: tuple[int, ...] = (0,)
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"optimizer.kind {self.kind}: choose one of {', '.join(KINDS)}")
        if not self.lr > 0 or not self.weight_decay >= 0:
            raise ValueError(f"optimizer.lr must be > 0 and weight_decay >= 0, got {self.lr} and {self.weight_decay}")
        if not self.gamma > 0 or min(self.milestones, default=0) < 0:
            stated = ",".join(map(str, self.milestones))
            raise ValueError(
                f"optimizer.gamma must be > 0 and optimizer.milestones >= 0, got {self.gamma} and {stated}"
            )
        if len(self.betas) != 2 or not all(0 <= rate < 1 for rate in (*self.betas, self.momentum)):
            raise ValueError(
                f"optimizer.momentum and the two optimizer.betas must be in [0, 1), got {self.momentum} and "
                f"{', '.join(map(str, self.betas))}"
            )

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch counted from 1."""
        return self.lr * self.gamma ** sum(0 < milestone < epoch for milestone in self.milestones)

    def build(self, parameters: Iterable[Tensor]) -> Optimizer:
        """Build the optimiser of some parameters."""
        moments = {"momentum": self.momentum} if self.kind == "sgd" else {"betas": self.betas}
        return KINDS[self.kind](parameters, lr=self.lr, weight_decay=self.weight_decay, **moments)
