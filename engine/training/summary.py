"""Summary of what a run is about to do, in a few lines."""

from typing import Any

import torch
from torch import nn

from sts_common import counted, size_in_words
from sts_common.words import with_prefix

from ..device.distributed import world
from ..device.hardware import device_name, versions
from ..device.precision import resolve
from .run import Run
from .stepper import steps_per_epoch

BYTES_PER_NUMBER = 4  # bytes of a weight, its gradient, and a number that the optimiser keeps of it


def describe(run: Run, train: Any, val: Any, *, clip_flops: float | None, clip_bytes: float | None) -> list[str]:
    """Return the lines that a run begins with, fresh or resumed.

    A training clip takes so many operations, forward and backward, and so many bytes that are kept for its backward
    pass; None if not known.
    """
    options, (learn, frozen) = run.info["options"], count_parameters(run.task)
    network = f"{run.info['arch']}: {with_prefix(learn)} parameters learn, {with_prefix(frozen)} are frozen"
    if clip_flops is not None:
        network += f", {with_prefix(clip_flops)}FLOP per training clip"
    if clip_bytes is not None:
        states = 2 if isinstance(run.stepper.optimizer, torch.optim.Adam | torch.optim.AdamW) else 1
        weights = BYTES_PER_NUMBER * (learn * (2 + states) + frozen)
        network += f", about {size_in_words(weights + clip_bytes * options['batch_size'])} per device"
    amp, classes = resolve(run.device, run.settings.amp), len(run.info["class_names"])
    videos = f"{len(train.dataset):,} training and {counted(len(val.dataset), 'validation video')}"
    rows = {
        "data": videos + (f" of {counted(classes, 'class')}" if classes else ", whose labels are not read"),
        "network": network,
        "batch": clips_of_a_step(options["batch_size"], run.stepper.iter_size, world()),
        "epochs": epochs_to_come(run, steps_per_epoch(len(train), run.stepper.iter_size)),
        "device": f"{run.device} ({device_name(run.device)}), {'fp32' if amp == 'off' else amp}",
        "versions": versions(),
        "seed": str(options["manual_seed"]),
        "results": str(run.files.folder),
    }
    return [f"{name:<9} {text}" for name, text in rows.items()]


def clips_of_a_step(batch_size: int, iter_size: int, ranks: int) -> str:
    """Format the clips of a step, and where they come from."""
    factors = [counted(batch_size, "clip")]
    factors += [f"{iter_size} batches"] if iter_size > 1 else []
    factors += [f"{ranks} processes"] if ranks > 1 else []
    product = f" = {batch_size * iter_size * ranks}" if len(factors) > 1 else ""
    return " x ".join(factors) + f"{product} a step"


def epochs_to_come(run: Run, steps: int) -> str:
    """Format the epochs to come, of so many steps each."""
    last = run.settings.n_epochs
    total = counted(steps * max(0, last - run.epoch + 1), "step")
    return f"{run.epoch} to {last}, of {counted(steps, 'step')} each: {total}"


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Count parameters that learn and that do not, each once."""
    counts = {True: 0, False: 0}
    for parameter in module.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]
