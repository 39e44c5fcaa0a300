"""Optimisers and learning-rate schedules, by name."""

import logging
import math
from argparse import Namespace
from collections.abc import Callable
from typing import Any

from torch.optim import SGD, AdamW, Optimizer

from .schedules import Cosine, OneCycle, Plateau, Schedule, StepDecay, Warmup
from .stepper import steps_per_epoch

log = logging.getLogger(__name__)

Groups = list[dict[str, Any]]


def build_sgd(opt: Namespace, groups: Groups) -> Optimizer:
    """Build SGD with momentum. Dampening 0.9 makes a steady step lr times the gradient, not 10 lr, as lr 0.1 needs."""
    return SGD(
        groups,
        lr=opt.learning_rate,
        momentum=opt.momentum,
        dampening=0.0 if opt.nesterov else opt.dampening,
        weight_decay=opt.weight_decay,
        nesterov=opt.nesterov,
        fused=fuses(groups),
    )


def build_adamw(opt: Namespace, groups: Groups) -> Optimizer:
    """Build AdamW with its usual moments."""
    return AdamW(groups, lr=opt.learning_rate, weight_decay=opt.weight_decay, fused=fuses(groups))


OPTIMIZERS: dict[str, Callable[[Namespace, Groups], Optimizer]] = {"sgd": build_sgd, "adamw": build_adamw}


def fuses(groups: Groups) -> bool | None:
    """Return whether a step is one kernel; not on a CPU, where it rounds otherwise and hardly gains."""
    return all(p.device.type == "cuda" for group in groups for p in group["params"]) or None


def build_plateau(opt: Namespace, optimizer: Optimizer, steps: int, warmup: Warmup) -> Schedule:
    """Build a schedule that takes a tenth of the rate after `--lr_patience` epochs without a better validation loss."""
    return Plateau(optimizer, warmup, opt.lr_patience)


def build_step(opt: Namespace, optimizer: Optimizer, steps: int, warmup: Warmup) -> Schedule:
    """Build a schedule that multiplies the rate by `--lr_gamma` after every `--lr_step` epochs."""
    if opt.lr_step < 1:
        raise ValueError(f"--lr_step must be >= 1 epoch, got {opt.lr_step}")
    boundaries = range(opt.lr_step * steps, opt.n_epochs * steps + 1, opt.lr_step * steps)
    return StepDecay(optimizer, warmup, boundaries, opt.lr_gamma)


def build_multistep(opt: Namespace, optimizer: Optimizer, steps: int, warmup: Warmup) -> Schedule:
    """Build a schedule that multiplies the rate by `--lr_gamma` after each of the epochs `--lr_milestones`."""
    epochs = sorted(set(opt.lr_milestones))
    if not epochs or epochs != list(opt.lr_milestones) or epochs[0] < 1:
        raise ValueError(f"--lr_milestones must be ascending epochs >= 1, got {opt.lr_milestones}")
    return StepDecay(optimizer, warmup, [epoch * steps for epoch in epochs], opt.lr_gamma)


def build_cosine(opt: Namespace, optimizer: Optimizer, steps: int, warmup: Warmup) -> Schedule:
    """Build half a cosine from the learning rate to zero over the whole run."""
    return Cosine(optimizer, warmup, steps * opt.n_epochs)


def build_onecycle(opt: Namespace, optimizer: Optimizer, steps: int, warmup: Warmup) -> Schedule:
    """Build a schedule that goes up to the learning rate and down again over the whole run."""
    return OneCycle(optimizer, warmup, steps * opt.n_epochs)


SCHEDULES: dict[str, Callable[[Namespace, Optimizer, int, Warmup], Schedule]] = {
    "plateau": build_plateau,
    "step": build_step,
    "multistep": build_multistep,
    "cosine": build_cosine,
    "onecycle": build_onecycle,
}


def build_schedule(opt: Namespace, optimizer: Optimizer, batches: int) -> Schedule:
    """Build the schedule that `--lr_schedule` names, after a warm-up.

    Args:
        opt: Options.
        optimizer: Its groups have their full rates.
        batches: Batches per epoch, of one process; `--iter_size` of them make a step.

    Raises:
        ValueError: If an option is out of range.
    """
    steps = steps_per_epoch(batches, opt.iter_size)
    if not 0 <= opt.lr_warmup < opt.n_epochs:
        raise ValueError(f"--lr_warmup must be >= 0 and below --n_epochs {opt.n_epochs}, got {opt.lr_warmup}")
    if not 0 < opt.lr_warmup_factor <= 1:
        raise ValueError(f"--lr_warmup_factor must be in (0, 1], got {opt.lr_warmup_factor}")
    if not 0 < opt.lr_gamma <= 1:
        raise ValueError(f"--lr_gamma must be in (0, 1], got {opt.lr_gamma}")
    warmup = Warmup(math.ceil(opt.lr_warmup * steps), opt.lr_warmup_factor)
    return SCHEDULES[opt.lr_schedule](opt, optimizer, steps, warmup)


def scaled_rate(learning_rate: float, batch_size: int, iter_size: int, world: int, base_batch: int) -> float:
    """Scale a learning rate to the real batch of a step, linearly (Goyal et al., 2017).

    Args:
        learning_rate: Meant for a batch of `base_batch`.
        batch_size: Clips per batch of one process.
        iter_size: Batches per step.
        world: Processes.
        base_batch: 0 leaves the rate as it is.
    """
    if base_batch == 0:
        return learning_rate
    if base_batch < 0:
        raise ValueError(f"--lr_scale_base must be >= 0, got {base_batch}")
    batch = batch_size * iter_size * world
    scaled = learning_rate * batch / base_batch
    log.info(
        "learning rate %.4g for steps of %d clips (%d per batch, %d batches, %d processes): %.4g is for %d",
        *(scaled, batch, batch_size, iter_size, world, learning_rate, base_batch),
    )
    return scaled


def learning_rate(optimizer: Optimizer) -> float:
    """Return the largest rate of any group: frozen layers have groups of rate zero."""
    return max(group["lr"] for group in optimizer.param_groups)
