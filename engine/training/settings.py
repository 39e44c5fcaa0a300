"""Settings of a training, by the names and with the defaults of the options."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, get_type_hints

from sts_common.typed import check_types

# Setting of `RunSettings` -> its smallest value.
MINIMUM = {
    **dict.fromkeys(("n_epochs", "iter_size", "begin_epoch", "checkpoint"), 1),
    **dict.fromkeys(("save_steps", "keep", "profile", "learning_rate", "weight_decay", "clip_grad"), 0),
}


@dataclass(frozen=True)
class StepSettings:
    """Settings of an optimiser step.

    Attributes:
        optimizer: A key of `OPTIMIZERS`.
        learning_rate: Full rate of the groups that have none of their own.
        weight_decay: Factor of the weights in their gradient, of AdamW in their step.
        momentum: Of SGD.
        dampening: Of SGD. 0.9 makes a steady step lr times the gradient, not 10 lr, as lr 0.1 needs; 0 with `nesterov`.
        nesterov: Whether the momentum of SGD is Nesterov's.
        lr_scale_base: Clips per step that the learning rate is for, see `scaled_rate`; 0 leaves it as it is.
        iter_size: Batches per step, >= 1.
        clip_grad: Max gradient norm; 0: no clipping.
        ema: EMA decay of the weights, in [0, 1); 0: no EMA.
        amp: One of `AMP`.
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 1e-3
    momentum: float = 0.9
    dampening: float = 0.9
    nesterov: bool = False
    lr_scale_base: int = 0
    iter_size: int = 1
    clip_grad: float = 0.0
    ema: float = 0.0
    amp: str = "auto"


@dataclass(frozen=True)
class ScheduleSettings:
    """Settings of the learning rate over a run.

    Attributes:
        lr_schedule: A key of `SCHEDULES`.
        n_epochs: The last epoch.
        lr_step: Of "step": epochs between decays, >= 1.
        lr_milestones: Of "multistep": epochs after which the rate decays, ascending, >= 1.
        lr_gamma: Of both: factor of a decay, in (0, 1].
        lr_warmup: Epochs of linear warm-up, >= 0 and below `n_epochs`; of "onecycle" its rise.
        lr_warmup_factor: First rate of the warm-up as a fraction of the full one, in (0, 1].
        lr_patience: Of "plateau": epochs without a lower validation loss before the rate falls to a tenth.
    """

    lr_schedule: str = "plateau"
    n_epochs: int = 400
    lr_step: int = 150
    lr_milestones: Sequence[int] = (200, 300)
    lr_gamma: float = 0.1
    lr_warmup: float = 0.0
    lr_warmup_factor: float = 0.1
    lr_patience: int = 10


@dataclass(frozen=True)
class RunSettings(StepSettings, ScheduleSettings):
    """Settings of a training: those of its steps and learning rate, and its course.

    Attributes:
        sync_bn: Whether processes share the statistics of their batches, on GPUs.
        begin_epoch: First epoch of a fresh run.
        checkpoint: Epochs between checkpoints, >= 1; the last epoch and the best one are saved as well.
        save_steps: Batches between checkpoints inside an epoch; 0: none.
        keep: Newest checkpoints that are kept, beside the best; 0: all.
        log: Whether anything but checkpoints is written, 0 or 1.
        profile: Steps to trace; 0: none.

    Raises:
        ValueError: If a number is outside its limits.
    """

    sync_bn: bool = False
    begin_epoch: int = 1
    checkpoint: int = 2
    save_steps: int = 0
    keep: int = 3
    log: int = 1
    profile: int = 0

    def __post_init__(self) -> None:
        for name, least in MINIMUM.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"--{name} must be >= {least}, got {value:g}")
        if self.begin_epoch > self.n_epochs:
            raise ValueError(f"--begin_epoch {self.begin_epoch}: is after the last, --n_epochs {self.n_epochs}")


def create_settings(**settings: Any) -> RunSettings:
    """Return `RunSettings` with these values; raises ValueError, with all names, if there is no such setting."""
    names = [field.name for field in fields(RunSettings)]
    if unknown := [name for name in settings if name not in names]:
        raise ValueError(f"{unknown[0]}={settings[unknown[0]]}: no setting of a training; there are {', '.join(names)}")
    check_types("fit", get_type_hints(RunSettings), settings)
    return RunSettings(**settings)
