"""Estimated hours and memory of a recipe's trainings on common GPUs. No GPU has run them.

A training takes epochs x clips x FLOP of a clip / rate. The rate of a V100 is what the authors of MARS report:
ResNeXt-101 on Kinetics-400, 240,000 clips of 16 frames in about 250 epochs, takes four of them 9 to 10 days, data
included, in float32 (https://github.com/craston/MARS/issues/12); by the operations counted here that is 0.94 TFLOP/s
each. Its grouped convolutions wait for memory, so other GPUs are taken to be faster by their memory bandwidth.
"""

from typing import Any, NamedTuple

import torch

from models import build_model, estimate, parameter_groups
from sts_common import counted
from sts_common.commands import COMMANDS

from ..shared.tables import aligned
from .recipe import STREAMS, Recipe
from .stages import TRAINING_COMMANDS, parse_sections, training_sections

V100_RATE, V100_BANDWIDTH = 0.94e12, 0.90  # FLOP/s, TB/s
GPUS = {"V100": 0.90, "RTX 3090": 0.94, "RTX 4090": 1.01, "A100 80 GB": 2.04, "H100": 3.35}  # memory bandwidth, TB/s
BYTES_PER_PARAMETER = 12  # weight, gradient and momentum in float32
CHANNELS = {"rgb": 3, "flow": 2, "sfs": 3}


class TrainingCost(NamedTuple):
    """Computations of a training."""

    stream: str  # that learns
    epochs: int
    batch: int  # clips of a step
    flops: int  # of a clip, forward and backward, with the teacher's
    memory: int  # bytes of a step in float32


def training_costs(recipe: Recipe) -> list[TrainingCost]:
    """Count what each training of a split computes; losses of distillation, small beside it, are left out.

    Raises ValueError for options that a training does not have.
    """
    trainings, teacher = [], 0
    for stream in STREAMS:
        command, streams = TRAINING_COMMANDS[stream]
        script = COMMANDS[command].script
        opt = parse_sections(recipe, training_sections(recipe, stream, script), streams, script)
        classes = opt.n_finetune_classes or opt.n_classes or 400
        with torch.device("meta"):
            network = build_model(opt, CHANNELS[stream], classes)
        parameter_groups(network, opt.ft_begin_index if opt.pretrain_path else 0, 0.1)
        costs = estimate(network, (CHANNELS[stream], opt.sample_duration, opt.sample_size, opt.sample_size))
        if stream == "flow":
            teacher = costs.flops_forward
        flops = costs.flops_training + (teacher if stream == "sfs" else 0)
        memory = BYTES_PER_PARAMETER * costs.parameters + opt.batch_size * costs.activation_bytes
        trainings.append(TrainingCost(stream, opt.n_epochs, opt.batch_size, flops, memory))
    return trainings


def hours(cost: TrainingCost, videos: int, bandwidth: float) -> float:
    """Estimate the hours of a training on one GPU of so many TB/s."""
    return cost.epochs * videos * cost.flops / (V100_RATE * bandwidth / V100_BANDWIDTH) / 3600


def format_hours(time: float) -> str:
    """Format hours with two significant digits."""
    return f"{time:.1f} h" if time < 10 else f"{time:,.0f} h"


def as_text(recipe: Recipe) -> str:
    """Format the estimates of a recipe; raises ValueError if it does not say how many training videos a split has."""
    videos = recipe.training_videos
    if videos is None:
        raise ValueError(f"{recipe.path}: training_videos is missing: how many has a split?")
    rows: list[list[Any]] = [["training", "epochs", "batch", "GFLOP a clip", "GB, float32", *GPUS]]
    for cost in training_costs(recipe):
        numbers = [cost.epochs, cost.batch, f"{cost.flops / 1e9:.0f}", f"{cost.memory / 1e9:.0f}"]
        rows.append([cost.stream, *numbers, *(format_hours(hours(cost, videos, band)) for band in GPUS.values())])
    head = (
        f"estimated, no GPU has run it: hours of one GPU for each of {counted(len(recipe.splits), 'split')} of "
        f"{videos:,} training videos, to the last epoch"
    )
    return "\n".join([head, *aligned([[str(value) for value in row] for row in rows], 1)])
