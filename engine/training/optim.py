"""Optimisers and learning-rate schedules, by name."""

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer

from sts_common import check_choice

from ..device.precision import resolve
from .schedules import Cosine, OneCycle, Plateau, Schedule, StepDecay, Warmup
from .settings import ScheduleSettings, StepSettings
from .stepper import steps_per_epoch

log = logging.getLogger(__name__)

Groups = list[dict[str, Any]]


def create_sgd(groups: Groups, settings: StepSettings) -> Optimizer:
    """Create SGD with momentum."""
    return SGD(
        groups,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        dampening=0.0 if settings.nesterov else settings.dampening,
        weight_decay=settings.weight_decay,
        nesterov=settings.nesterov,
        fused=fuses(groups, settings.amp),
    )


def create_adam(kind: type[Adam], groups: Groups, settings: StepSettings) -> Optimizer:
    """Create Adam, which adds weight decay to the gradient, or AdamW, with their usual moments."""
    return kind(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=fuses(groups))


OPTIMIZERS: dict[str, Callable[[Groups, StepSettings], Optimizer]] = {
    "sgd": create_sgd,
    "adamw": partial(create_adam, AdamW),
    "adam": partial(create_adam, Adam),
}


def create_optimizer(groups: Groups, settings: StepSettings) -> Optimizer:
    """Create the optimiser that the settings name; groups may have learning rates of their own.

    Raises ValueError if there is none of this name.
    """
    check_choice("--optimizer", settings.optimizer, OPTIMIZERS)
    return OPTIMIZERS[settings.optimizer](groups, settings)


def fuses(groups: Groups, amp: str = "off") -> bool | None:
    """Return whether a step is one kernel; not on a CPU, where it rounds otherwise and hardly gains.

    Nor is one of SGD with `amp` fp16: where a first step overflows, that kernel keeps momentum that nobody has written.
    """
    devices = {p.device for group in groups for p in group["params"]}
    return all(device.type == "cuda" and resolve(device, amp) != "fp16" for device in devices) or None


def create_step(settings: ScheduleSettings, optimizer: Optimizer, steps: int, warmup: Warmup) -> Schedule:
    """Create a schedule that multiplies the rate by `lr_gamma` after every `lr_step` epochs."""
    if settings.lr_step < 1:
        raise ValueError(f"--lr_step must be >= 1 epoch, got {settings.lr_step}")
    every = settings.lr_step * steps
    return StepDecay(optimizer, warmup, range(every, settings.n_epochs * steps + 1, every), settings.lr_gamma)


def create_multistep(settings: ScheduleSettings, optimizer: Optimizer, steps: int, warmup: Warmup) -> Schedule:
    """Create a schedule that multiplies the rate by `lr_gamma` after each of the epochs `lr_milestones`."""
    milestones = list(settings.lr_milestones)
    if not milestones or milestones != sorted(set(milestones)) or milestones[0] < 1:
        raise ValueError(f"--lr_milestones must be ascending epochs >= 1, got {settings.lr_milestones}")
    return StepDecay(optimizer, warmup, [epoch * steps for epoch in milestones], settings.lr_gamma)


SCHEDULES: dict[str, Callable[[ScheduleSettings, Optimizer, int, Warmup], Schedule]] = {
    "plateau": lambda settings, optimizer, steps, warmup: Plateau(optimizer, warmup, settings.lr_patience),
    "step": create_step,
    "multistep": create_multistep,
    "cosine": lambda settings, optimizer, steps, warmup: Cosine(optimizer, warmup, steps * settings.n_epochs),
    "onecycle": lambda settings, optimizer, steps, warmup: OneCycle(optimizer, warmup, steps * settings.n_epochs),
}


def create_schedule(settings: ScheduleSettings, optimizer: Optimizer, batches: int, *, iter_size: int = 1) -> Schedule:
    """Create the schedule that the settings name, after a warm-up, for an optimiser whose groups have their full rates.

    `batches` are those of an epoch in one process, of which `iter_size` make a step. Raises ValueError if there is no
    schedule of this name, or a setting is out of range.
    """
    check_choice("--lr_schedule", settings.lr_schedule, SCHEDULES)
    steps = steps_per_epoch(batches, iter_size)
    if not 0 <= settings.lr_warmup < settings.n_epochs:
        raise ValueError(f"--lr_warmup must be >= 0 and below --n_epochs {settings.n_epochs}, got {settings.lr_warmup}")
    if not 0 < settings.lr_warmup_factor <= 1:
        raise ValueError(f"--lr_warmup_factor must be in (0, 1], got {settings.lr_warmup_factor}")
    if not 0 < settings.lr_gamma <= 1:
        raise ValueError(f"--lr_gamma must be in (0, 1], got {settings.lr_gamma}")
    warmup = Warmup(math.ceil(settings.lr_warmup * steps), settings.lr_warmup_factor)
    return SCHEDULES[settings.lr_schedule](settings, optimizer, steps, warmup)


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
    """Return the largest rate of any group, without its multiple: frozen layers have groups of rate zero."""
    return max(group["lr"] / group.get("lr_multiple", 1.0) for group in optimizer.param_groups)
