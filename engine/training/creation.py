"""Creation of runs from settings, or from the options that give them."""

from argparse import Namespace
from typing import Any

import torch
from torch import nn

from ..command.naming import RunFiles
from ..device.distributed import world
from ..device.precision import scaler
from .ema import Ema
from .optim import Groups, create_optimizer, create_schedule, scaled_rate
from .run import Run
from .settings import RunSettings
from .stepper import Stepper


def full_rate(settings: RunSettings, batch_size: int) -> float:
    """Return the learning rate of groups that learn, scaled to the clips of a step where `lr_scale_base` is given."""
    return scaled_rate(settings.learning_rate, batch_size, settings.iter_size, world(), settings.lr_scale_base)


def create_stepper(
    settings: RunSettings, task: nn.Module, groups: Groups, batches: int, device: torch.device
) -> Stepper:
    """Create optimiser, schedule and the rest of a step; arguments as `create_run`."""
    optimizer = create_optimizer(groups, settings)
    return Stepper(
        task,
        optimizer,
        create_schedule(settings, optimizer, batches, iter_size=settings.iter_size),
        iter_size=settings.iter_size,
        clip_grad=settings.clip_grad,
        scaler=scaler(device, settings.amp),
        ema=Ema(task.get_submodule("model.network"), settings.ema) if settings.ema else None,
    )


def create_run(
    settings: RunSettings,
    task: nn.Module,
    groups: Groups,
    batches: int,
    *,
    files: RunFiles,
    device: torch.device,
    info: dict[str, Any],
) -> Run:
    """Create a fresh run of a task, which is on its device; raises ValueError if a setting is out of range.

    `batches` are those of an epoch. `info` has further entries of every checkpoint, e.g. the class names; "options" by
    name are what a resumed run is compared by.
    """
    stepper = create_stepper(settings, task, groups, batches, device)
    return Run(task, stepper, files, device, settings, info, settings.begin_epoch)


def build_run(
    opt: Namespace, task: nn.Module, groups: Groups, batches: int, *, files: RunFiles, device: torch.device, info: dict
) -> Run:
    """Build a run as the options say, which its checkpoints state as plain values; arguments as `create_run`."""
    info = info | {"options": vars(opt)}
    return create_run(build_settings(opt), task, groups, batches, files=files, device=device, info=info)


def build_settings(opt: Namespace) -> RunSettings:
    """Return the settings that the options give."""
    return RunSettings(
        optimizer=opt.optimizer,
        learning_rate=opt.learning_rate,
        weight_decay=opt.weight_decay,
        momentum=opt.momentum,
        dampening=opt.dampening,
        nesterov=opt.nesterov,
        lr_schedule=opt.lr_schedule,
        n_epochs=opt.n_epochs,
        lr_step=opt.lr_step,
        lr_milestones=opt.lr_milestones,
        lr_gamma=opt.lr_gamma,
        lr_warmup=opt.lr_warmup,
        lr_warmup_factor=opt.lr_warmup_factor,
        lr_patience=opt.lr_patience,
        lr_scale_base=opt.lr_scale_base,
        iter_size=opt.iter_size,
        clip_grad=opt.clip_grad,
        ema=opt.ema,
        amp=opt.amp,
        sync_bn=opt.sync_bn,
        begin_epoch=opt.begin_epoch,
        checkpoint=opt.checkpoint,
        save_steps=opt.save_steps,
        keep=opt.keep,
        log=opt.log,
        profile=opt.profile,
    )
