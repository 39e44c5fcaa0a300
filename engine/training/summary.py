"""Summary of what a run is about to do, in a few lines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sts_common import counted, size_in_words

from ..device.distributed import world
from ..device.hardware import device_name, versions
from ..device.precision import resolve
from .run import Run

WORD = 4  # bytes of a weight, its gradient, and a number that the optimiser keeps of it


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Facts of a run for its summary.

    Attributes:
        train_videos: Videos that are learnt from.
        val_videos: Videos that it is steered by.
        classes: Classes of both.
        network: Its name, like "resnext-101".
        learn: Parameters that learn, those of the losses included.
        frozen: Parameters that do not, those of a teacher included.
        clip_flops: Operations of a training clip, forward and backward; None if not known.
        memory: Bytes that a step takes on a device; None if not known.
        batch_size: Clips in a batch of one process.
        iter_size: Batches per step.
        ranks: Processes.
        batches: Batches of one process in an epoch.
        first_epoch: Epoch that comes next, from 1.
        epochs: The last epoch.
        amp: Number format, "off" is fp32.
        device: Of this process.
        seed: Of everything random.
        folder: Where the records go.
    """

    train_videos: int
    val_videos: int
    classes: int
    network: str
    learn: int
    frozen: int
    clip_flops: float | None = None
    memory: float | None = None
    batch_size: int
    iter_size: int = 1
    ranks: int = 1
    batches: int
    first_epoch: int = 1
    epochs: int
    amp: str
    device: torch.device
    seed: int
    folder: Path

    @property
    def steps(self) -> int:
        """Count the steps of an epoch; a last one of fewer batches counts."""
        return -(-self.batches // self.iter_size)


def plan_of(run: Run, train: Any, val: Any, *, clip_flops: float | None, clip_bytes: float | None) -> Plan:
    """Collect the facts of a run, fresh or resumed.

    Args:
        run: As it starts.
        train: Its training batches, with the "dataset" that they are of.
        val: Its validation batches, likewise.
        clip_flops: Operations of a training clip, forward and backward; None if not known.
        clip_bytes: What a clip's backward pass needs to have kept; None if not known.
    """
    options, (learn, frozen) = run.info["options"], count_parameters(run.task)
    states = 2 if isinstance(run.stepper.optimizer, torch.optim.Adam | torch.optim.AdamW) else 1
    weights = WORD * (learn * (2 + states) + frozen)
    return Plan(
        train_videos=len(train.dataset),
        val_videos=len(val.dataset),
        classes=len(run.info["class_names"]),
        network=run.info["arch"],
        learn=learn,
        frozen=frozen,
        clip_flops=clip_flops,
        memory=None if clip_bytes is None else weights + clip_bytes * options["batch_size"],
        batch_size=options["batch_size"],
        iter_size=run.stepper.iter_size,
        ranks=world(),
        batches=len(train),
        first_epoch=run.epoch,
        epochs=run.epochs,
        amp=resolve(run.device, run.amp),
        device=run.device,
        seed=options["manual_seed"],
        folder=run.files.folder,
    )


def describe(plan: Plan) -> list[str]:
    """Return the lines that a run begins with."""
    each = [f"{in_count(plan.clip_flops)}FLOP per training clip"] if plan.clip_flops else []
    each += [f"about {size_in_words(plan.memory)} per device"] if plan.memory else []
    learning = f"{in_count(plan.learn)} parameters learn, {in_count(plan.frozen)} are frozen"
    rows = {
        "data": f"{plan.train_videos:,} training and {counted(plan.val_videos, 'validation video')} of "
        f"{counted(plan.classes, 'class')}",
        "network": ", ".join([f"{plan.network}: {learning}", *each]),
        "batch": batch_line(plan),
        "epochs": epochs_line(plan),
        "device": f"{plan.device} ({device_name(plan.device)}), {'fp32' if plan.amp == 'off' else plan.amp}",
        "versions": versions(),
        "seed": str(plan.seed),
        "results": str(plan.folder),
    }
    return [f"{name:<9} {text}" for name, text in rows.items()]


def batch_line(plan: Plan) -> str:
    """Format the clips of a step, and where they come from."""
    factors = [counted(plan.batch_size, "clip")]
    factors += [f"{plan.iter_size} batches"] if plan.iter_size > 1 else []
    factors += [f"{plan.ranks} processes"] if plan.ranks > 1 else []
    product = f" = {plan.batch_size * plan.iter_size * plan.ranks}" if len(factors) > 1 else ""
    return " x ".join(factors) + f"{product} a step"


def epochs_line(plan: Plan) -> str:
    """Format the epochs to come."""
    remaining = max(0, plan.epochs - plan.first_epoch + 1)
    total = counted(plan.steps * remaining, "step")
    return f"{plan.first_epoch} to {plan.epochs}, of {counted(plan.steps, 'step')} each: {total}"


def count_parameters(module: nn.Module) -> tuple[int, int]:
    """Count parameters that learn and that do not, each once."""
    counts = {True: 0, False: 0}
    for parameter in module.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return counts[True], counts[False]


def in_count(value: float) -> str:
    """Format a number like "47.6 M" or "50.8 G"."""
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.1f} {name}"
    return f"{value:.0f}"
