"""A training run: epochs, checkpoints, logs. Stopping and resuming at an epoch loses nothing."""

import logging
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml
from torch import nn
from torch.optim import Optimizer

from . import checkpoint
from .files import write_atomically
from .logs import Curves, JsonLog, TsvLog
from .loop import evaluate, train_one_epoch
from .naming import RunFiles
from .optim import OPTIMIZERS, SCHEDULES, Groups, Schedule, learning_rate
from .reproducibility import rng_state, set_rng_state

log = logging.getLogger(__name__)

TRAIN_COLUMNS = {"epoch": "epoch", "loss": "loss", "acc": "acc", "lr": "lr"}
VAL_COLUMNS = {"epoch": "epoch", "loss": "loss", "acc": "acc"}


class Loader(Protocol):
    """An iterable of batches that can be told the epoch."""

    def __iter__(self) -> Any: ...
    def __len__(self) -> int: ...
    def set_epoch(self, epoch: int) -> None: ...


@dataclass
class Run:
    """Everything that changes while training, and where it is written.

    Attributes:
        task: What is trained. `task.model.network` is deployed; `task.losses`, if any, holds learnable parts of
            the loss, which are saved beside the weights.
        optimizer: Steps once per batch.
        schedule: Told of every step and epoch.
        files: Names of what is written.
        device: Where the task is.
        epochs: The last epoch.
        checkpoint_every: Epochs between checkpoints; the last epoch and the best one are saved as well.
        writes_logs: Whether to write anything but checkpoints.
        amp: See `reproducibility.autocast`.
        info: Further entries of every checkpoint, plain values.
        epoch: The next epoch, counted from 1.
        best: Highest validation accuracy so far, and its negated loss, which decides ties.
    """

    task: nn.Module
    optimizer: Optimizer
    schedule: Schedule
    files: RunFiles
    device: torch.device
    epochs: int
    checkpoint_every: int
    writes_logs: bool = True
    amp: str = "off"
    info: dict[str, Any] = field(default_factory=dict)
    epoch: int = 1
    best: tuple[float, float] = (-1.0, 0.0)

    def save(self, path: Path, metrics: Mapping[str, float]) -> None:
        """Write a checkpoint of the state after the epoch before `epoch`, with its validation metrics."""
        state = {
            "epoch": self.epoch,
            "state_dict": self.task.get_submodule("model.network").state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.scheduler.state_dict(),
            "rng": rng_state(),
            "best": list(self.best),
            "metrics": dict(metrics),
            **self.info,
        }
        if losses := getattr(self.task, "losses", None):
            state["losses"] = losses.state_dict()
        checkpoint.save(path, state)

    def resume(self, state: Mapping[str, Any], source: str) -> None:
        """Go on from a checkpoint whose weights the network has already.

        Published checkpoints lack the schedule and the generators; that is said, and both start afresh.
        """
        self.epoch = int(state.get("epoch", 1))
        self.best = tuple(state.get("best", self.best))
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, ValueError):
            log.warning("%s: its optimizer state does not fit this run and starts afresh", source)
        if "scheduler" in state:
            self.schedule.scheduler.load_state_dict(state["scheduler"])
        else:
            log.warning("%s: holds no learning-rate schedule, which starts afresh", source)
        if losses := getattr(self.task, "losses", None):
            if "losses" in state:
                self.resume_losses(losses, state["losses"], source)
            elif any(True for _ in losses.parameters()):
                log.warning("%s: holds no learnable parts of the losses, which start afresh", source)
        if "rng" in state:
            set_rng_state(state["rng"])
        log.info("resuming %s at epoch %d", source, self.epoch)

    def resume_losses(self, losses: nn.Module, state: Mapping[str, Any], source: str) -> None:
        """Restore the learnable parts of the losses.

        Raises:
            ValueError: If the checkpoint's run had other losses.
        """
        try:
            losses.load_state_dict(state)
        except RuntimeError:
            raise ValueError(
                f"{source}: made with other losses; resume with the same --distill and review options"
            ) from None


def build_run(
    opt: Namespace, task: nn.Module, groups: Groups, steps: int, *, files: RunFiles, device: torch.device, info: dict
) -> Run:
    """Put a run together: optimiser and schedule as the options say.

    Args:
        opt: Options; the run stores them as plain values.
        task: What is trained, on its device.
        groups: Parameter groups with their learning rates.
        steps: Batches per epoch.
        files: Names of what is written.
        device: Where the task is.
        info: Further entries of every checkpoint, e.g. the class names.
    """
    optimizer = OPTIMIZERS[opt.optimizer](opt, groups)
    schedule = SCHEDULES[opt.lr_schedule](opt, optimizer, steps)
    return Run(
        task,
        optimizer,
        schedule,
        files,
        device,
        epochs=opt.n_epochs,
        checkpoint_every=opt.checkpoint,
        writes_logs=bool(opt.log),
        amp=opt.amp,
        info=info | {"arch": f"{opt.model}-{opt.model_depth}", "options": vars(opt)},
        epoch=opt.begin_epoch,
    )


def fit(run: Run, train: Loader, val: Loader, train_columns: Mapping[str, str] = TRAIN_COLUMNS) -> None:
    """Train from `run.epoch` up to and including `run.epochs`.

    Args:
        run: The run, fresh or resumed.
        train: Training batches.
        val: Validation batches.
        train_columns: Columns of the training log, see `TsvLog`.

    Raises:
        FloatingPointError: If the loss is not finite.
    """
    logs = RunLogs(run, train_columns) if run.writes_logs else None
    while run.epoch <= run.epochs:
        epoch, lr = run.epoch, learning_rate(run.optimizer)
        train.set_epoch(epoch)
        run.task.epoch = epoch  # type: ignore[assignment]
        label = f"epoch {epoch}/{run.epochs}"
        trained = train_one_epoch(run.task, train, run.optimizer, run.schedule, run.device, amp=run.amp, label=label)
        tested = evaluate(run.task, val, run.device, amp=run.amp)
        run.schedule.epoch(tested["loss"])
        run.epoch += 1
        log.info(
            "%s  lr %.2g  loss %.4f  acc %.3f  val loss %.4f  val acc %.3f",
            *(label, lr, trained["loss"], trained["acc"], tested["loss"], tested["acc"]),
        )
        if logs:
            logs.write(epoch, lr, trained, tested)
        if (score := (tested["acc"], -tested["loss"])) > run.best:
            run.best = score
            run.save(run.files.best, tested)
        if epoch % run.checkpoint_every == 0 or epoch == run.epochs:
            run.save(Path(run.files.checkpoint.format(epoch)), tested)
    if logs:
        logs.curves.close()


class RunLogs:
    """All logs of a run, cut back to where it starts."""

    def __init__(self, run: Run, train_columns: Mapping[str, str]) -> None:
        files, first = run.files, run.epoch
        self.train = TsvLog(files.train_log, train_columns, first)
        self.val = TsvLog(files.val_log, VAL_COLUMNS, first)
        self.jsonl = JsonLog(files.folder / "metrics.jsonl", first)
        self.speed = JsonLog(files.folder / "speed.jsonl", first)  # apart: all else is the same in every run of a seed
        self.curves = Curves(files.folder / "tensorboard", first)
        # Without what was not set, so that the file serves as a --config.
        options = {k: v for k, v in run.info["options"].items() if v is not None and k not in ("given", "config")}
        write_atomically(files.folder / "options.yaml", lambda file: file.write(yaml.safe_dump(options).encode()))

    def write(self, epoch: int, lr: float, trained: Mapping[str, float], tested: Mapping[str, float]) -> None:
        """Add an epoch."""
        self.train.write({"epoch": epoch, "lr": lr, **trained})
        self.val.write({"epoch": epoch, **tested})
        speed = {name: value for name, value in trained.items() if name.startswith("data_")}
        self.speed.write({"epoch": epoch, **speed})
        row = {f"train_{k}": v for k, v in trained.items() if k not in speed} | {
            f"val_{k}": v for k, v in tested.items()
        }
        self.jsonl.write({"epoch": epoch, "lr": lr, **row})
        self.curves.write({"lr": lr, **{k.replace("_", "/", 1): v for k, v in row.items()}}, epoch)
