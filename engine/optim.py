"""Optimisers and learning-rate schedules, by name."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

Groups = list[dict[str, Any]]


def build_sgd(opt: Namespace, groups: Groups) -> Optimizer:
    """SGD with momentum. Dampening 0.9 makes a steady step lr times the gradient, not 10 lr: lr 0.1 relies on it."""
    return SGD(
        groups,
        lr=opt.learning_rate,
        momentum=opt.momentum,
        dampening=0.0 if opt.nesterov else opt.dampening,
        weight_decay=opt.weight_decay,
        nesterov=opt.nesterov,
    )


def build_adamw(opt: Namespace, groups: Groups) -> Optimizer:
    """AdamW with its usual moments."""
    return AdamW(groups, lr=opt.learning_rate, weight_decay=opt.weight_decay)


OPTIMIZERS: dict[str, Callable[[Namespace, Groups], Optimizer]] = {"sgd": build_sgd, "adamw": build_adamw}


class Schedule:
    """A learning-rate schedule that is told of every step and of every epoch.

    Args:
        scheduler: torch's.
        per_step: Whether it advances with every step, or with every epoch.
    """

    def __init__(self, scheduler: LRScheduler | ReduceLROnPlateau, *, per_step: bool) -> None:
        self.scheduler, self.per_step = scheduler, per_step

    def step(self) -> None:
        """A batch is done."""
        if self.per_step:
            self.scheduler.step()  # type: ignore[call-arg]

    def epoch(self, val_loss: float) -> None:
        """An epoch is done, with this mean validation loss."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(val_loss)
        elif not self.per_step:
            self.scheduler.step()


def build_plateau(opt: Namespace, optimizer: Optimizer, steps: int) -> Schedule:
    """A tenth of the rate after `--lr_patience` epochs without progress of the validation loss."""
    return Schedule(ReduceLROnPlateau(optimizer, "min", patience=opt.lr_patience), per_step=False)


def build_onecycle(opt: Namespace, optimizer: Optimizer, steps: int) -> Schedule:
    """Up to the learning rate and down again over the whole run (Smith and Topin, 2018)."""
    peaks = [group["lr"] for group in optimizer.param_groups]
    return Schedule(OneCycleLR(optimizer, peaks, total_steps=max(steps * opt.n_epochs, 2)), per_step=True)


def build_cosine(opt: Namespace, optimizer: Optimizer, steps: int) -> Schedule:
    """Half a cosine from the learning rate to zero over the whole run (Loshchilov and Hutter, 2017)."""
    return Schedule(CosineAnnealingLR(optimizer, max(steps * opt.n_epochs, 1)), per_step=True)


SCHEDULES: dict[str, Callable[[Namespace, Optimizer, int], Schedule]] = {
    "plateau": build_plateau,
    "onecycle": build_onecycle,
    "cosine": build_cosine,
}


def learning_rate(optimizer: Optimizer) -> float:
    """The largest rate of any group: frozen layers have groups of rate zero."""
    return max(group["lr"] for group in optimizer.param_groups)
