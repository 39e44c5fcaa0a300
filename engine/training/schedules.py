"""Learning-rate schedules: functions of the optimiser steps that are done, and one that watches the validation loss.

A rate depends on the number of steps alone, so a resumed run has the same rates to the last bit. The plateau is
torch's. `LambdaLR` is not used: it writes `initial_lr` into the optimiser's state, rounds one cycle otherwise, and
warns if the first float16 step is skipped.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

RISE, DIVISOR, FINAL_DIVISOR, MOMENTUM = 0.3, 25.0, 1e4, (0.85, 0.95)  # of one cycle, as in torch
COUNTERS = ("best", "num_bad_epochs", "last_epoch")  # what changes in torch's plateau


@dataclass(frozen=True)
class Warmup:
    """Linear warm-up (Goyal et al., 2017).

    Attributes:
        steps: Optimiser steps it takes; 0 is none.
        factor: On the rate of the first step, in (0, 1].
    """

    steps: int = 0
    factor: float = 0.1

    def __call__(self, done: int) -> float:
        """Return the factor on the rate of the next step, in (0, 1]."""
        if done >= self.steps:
            return 1.0
        return self.factor + (1 - self.factor) * done / self.steps


class Schedule:
    """Base class of the schedules: a constant rate.

    Args:
        optimizer: Its groups have their full rates; rates of zero, of frozen layers, stay zero.
        warmup: Comes before.

    Attributes:
        steps: Optimiser steps that are done.
        rates: Full rate of every group.
    """

    def __init__(self, optimizer: Optimizer, warmup: Warmup) -> None:
        self.optimizer, self.warmup, self.steps = optimizer, warmup, 0
        self.rates: list[float] = [group["lr"] for group in optimizer.param_groups]
        self.apply()

    @property
    def kind(self) -> str:
        """Name of the schedule in checkpoints."""
        return type(self).__name__

    def rate(self, full: float) -> float:
        """Return the rate of the next step, of a group with this full rate."""
        return full * self.warmup(self.steps)

    def apply(self) -> None:
        """Set the rates of the next step."""
        for group, full in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = self.rate(full)

    def step(self) -> None:
        """Count an optimiser step."""
        self.steps += 1
        self.apply()

    def epoch(self, val_loss: float) -> None:
        """Count an epoch, with this mean validation loss."""

    def state(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return {"kind": self.kind, "steps": self.steps, "rates": list(self.rates)}

    def load(self, state: Mapping[str, Any], *, rates: bool = True) -> None:
        """Go on from what `state` returned, with its full rates or, if not `rates`, with the present ones."""
        self.steps = state["steps"]
        if rates:
            self.rates = list(state["rates"])
        self.apply()


class Plateau(Schedule):
    """A tenth of the rate after some epochs without progress of the validation loss.

    Epochs that end within the warm-up do not count. `patience` is in epochs.
    """

    def __init__(self, optimizer: Optimizer, warmup: Warmup, patience: int) -> None:
        self.plateau = ReduceLROnPlateau(optimizer, "min", patience=patience)
        super().__init__(optimizer, warmup)

    def apply(self) -> None:
        if self.steps <= self.warmup.steps:  # afterwards the rates are torch's to change
            super().apply()

    def epoch(self, val_loss: float) -> None:
        if self.steps >= self.warmup.steps:
            self.plateau.step(val_loss)

    def state(self) -> dict[str, Any]:
        return super().state() | {"plateau": {name: getattr(self.plateau, name) for name in COUNTERS}}

    def load(self, state: Mapping[str, Any], *, rates: bool = True) -> None:
        self.plateau.load_state_dict(state["plateau"])
        self.steps = state["steps"]
        if rates:  # then those under way, which it may have lowered, are in the optimiser's state
            self.rates = list(state["rates"])
        else:
            super().apply()


class StepDecay(Schedule):
    """Step decay: the rate is multiplied by `gamma` at each of the `boundaries`, numbers of steps done, ascending."""

    kind = "Falls"  # as checkpoints have it

    def __init__(self, optimizer: Optimizer, warmup: Warmup, boundaries: Sequence[int], gamma: float) -> None:
        self.boundaries, self.gamma = tuple(boundaries), gamma
        super().__init__(optimizer, warmup)

    def rate(self, full: float) -> float:
        return super().rate(full) * self.gamma ** bisect_right(self.boundaries, self.steps)


class Cosine(Schedule):
    """Half a cosine from the full rate to zero over the steps after the warm-up (Loshchilov and Hutter, 2017).

    `total` is the number of steps of the whole run.
    """

    def __init__(self, optimizer: Optimizer, warmup: Warmup, total: int) -> None:
        self.total = total
        super().__init__(optimizer, warmup)

    def rate(self, full: float) -> float:
        if self.steps < self.warmup.steps:
            return super().rate(full)
        progress = (self.steps - self.warmup.steps) / max(self.total - self.warmup.steps, 1)
        return full * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


class OneCycle(Schedule):
    """Up to the full rate and down again over the whole run, momentum the other way (Smith and Topin, 2018).

    Equals torch's OneCycleLR, which keeps its settings in the optimiser's state, where checkpoints of other programs
    have none. The rise is the warm-up: with one, it takes as long as that and begins at its factor.

    Args:
        optimizer: SGD with momentum, or a kind of Adam.
        warmup: Sets the rise; without one it is 0.3 of the run and begins at a 25th of the full rate.
        total: Steps of the whole run.
    """

    def __init__(self, optimizer: Optimizer, warmup: Warmup, total: int) -> None:
        self.total = max(total, 2)
        self.rise = warmup.steps - 1.0 if warmup.steps else RISE * self.total - 1
        self.divisor = 1 / warmup.factor if warmup.steps else DIVISOR
        super().__init__(optimizer, warmup)

    def between(self, low: float, top: float, last: float) -> float:
        """Return a value that goes from `low` to `top` while the rate rises, and on to `last` while it falls."""
        done, rise = min(self.steps, self.total - 1), self.rise
        if done <= rise and rise > 0:
            return along_cosine(low, top, done / rise)
        return along_cosine(top, last, (done - rise) / (self.total - 1 - rise))

    def rate(self, full: float) -> float:
        low = full / self.divisor
        return self.between(low, full, low / FINAL_DIVISOR)

    def apply(self) -> None:
        super().apply()
        least, most = MOMENTUM
        momentum = self.between(most, least, most)
        for group in self.optimizer.param_groups:
            if "betas" in group:
                group["betas"] = (momentum, *group["betas"][1:])
            else:
                group["momentum"] = momentum


def along_cosine(start: float, end: float, progress: float) -> float:
    """Interpolate from `start` to `end` along half a cosine, with progress in [0, 1]."""
    return end + (start - end) / 2 * (math.cos(math.pi * progress) + 1)
