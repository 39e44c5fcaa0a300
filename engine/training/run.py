"""A training run: its state, and its checkpoints. Stopped anywhere and resumed, it gives the same bits."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import checkpoint
from ..checkpoint.resuming import changed_settings, check_same_data
from ..checkpoint.rolling import Checkpoints
from ..command.naming import RunFiles
from ..device.distributed import gather, is_main, rank, world
from ..device.reproducibility import rng_state, set_rng_state
from ..monitor.averages import Averages
from ..monitor.pace import Pace
from ..monitor.profiling import Profile
from .best import Best
from .settings import RunSettings
from .stepper import Stepper

log = logging.getLogger(__name__)


@dataclass
class Run:
    """State of a training, and the place of its files.

    Attributes:
        task: What is trained. `task.model.network` is deployed; `task.losses`, if any, holds learnable parts of
            the loss, which are saved beside the weights.
        stepper: Learns from a loss.
        files: Names of what is written.
        device: Where the task is.
        settings: Of its course.
        info: Further entries of every checkpoint, plain values.
        epoch: The epoch that is under way or comes next, from 1.
        step: Batches of it that are done.
        rate: The learning rate that the epoch began with.
        averages: Of these batches.
        best: Validation of the best epoch so far.
        pace: How fast it goes, while it goes.
        profile: What traces its steps, likewise.
    """

    task: nn.Module
    stepper: Stepper
    files: RunFiles
    device: torch.device
    settings: RunSettings
    info: dict[str, Any]
    epoch: int
    step: int = 0
    rate: float = 0.0
    resumed: bool = False
    averages: Averages = field(default_factory=Averages)
    best: Best = field(default_factory=Best)
    pace: Pace | None = None
    profile: Profile | None = None

    def __post_init__(self) -> None:
        self.checkpoints = Checkpoints(self.files.checkpoint, self.files.best, self.settings.keep)

    def state(self, metrics: Mapping[str, float]) -> dict[str, Any]:
        """Return the content of a checkpoint; every process of the run must ask, for each has its own generators."""
        state = {
            "epoch": self.epoch,
            "step": self.step,
            "rate": self.rate,
            "state_dict": self.task.get_submodule("model.network").state_dict(),
            **self.stepper.state(),
            "rng": gather(rng_state(self.device)),
            "averages": self.averages.state(),
            "best": list(self.best),
            "metrics": dict(metrics),
            **self.info,
        }
        if losses := getattr(self.task, "losses", None):
            state["losses"] = losses.state_dict()
        return state

    def save(self, path: Path, metrics: Mapping[str, float]) -> None:
        """Write a checkpoint of the present position, with the metrics of the last validation if there is one."""
        state = self.state(metrics)
        if is_main():
            checkpoint.save(path, state)
            self.checkpoints.prune()

    def resume(self, state: Mapping[str, Any], source: str) -> None:
        """Go on from a checkpoint whose deployable weights the network has already.

        Published checkpoints lack the schedule and the generators; that is said, and both start afresh. Raises
        ValueError if it was made with other videos, or other losses.
        """
        options = self.info.get("options", {})
        check_same_data(state, self.info.get("data", {}), source, anyway=options.get("resume_anyway", False))
        self.resumed = True
        self.epoch, self.step = int(state.get("epoch", 1)), int(state.get("step", 0))
        self.rate = float(state.get("rate", 0.0))
        self.best = Best.of(state.get("best", self.best))
        self.averages.load(state.get("averages", {}), self.device)
        self.stepper.load(state, source, changed_settings(state.get("options", {}), options))
        if "left_out" in state:
            self.info["left_out"] = list(state["left_out"])
        if losses := getattr(self.task, "losses", None):
            resume_losses(losses, state.get("losses"), source)
        generators = state.get("rng", [])
        self.restore_generators(generators if isinstance(generators, list) else [generators], source)
        log.info("resuming %s at epoch %d%s", source, self.epoch, f", batch {self.step + 1}" if self.step else "")

    def restore_generators(self, generators: Sequence[dict[str, Any]], source: str) -> None:
        """Restore the generators of this process, from those of all; says so if there were more or fewer."""
        if rank() < len(generators):
            set_rng_state(generators[rank()], self.device)
        if generators and len(generators) != world() and is_main():
            log.warning(
                "%s: made by %d processes, now there are %d: a step has other clips, so the results will differ%s",
                *(source, len(generators), world()),
                "; of the epoch under way some clips come twice and some not at all" if self.step else "",
            )


def resume_losses(losses: nn.Module, state: Mapping[str, Any] | None, source: str) -> None:
    """Restore the learnable parts of the losses; raises ValueError if the checkpoint's run had other losses."""
    if state is None:
        if any(True for _ in losses.parameters()):
            log.warning("%s: holds no learnable parts of the losses, which start afresh", source)
        return
    try:
        losses.load_state_dict(state)
    except RuntimeError:
        raise ValueError(
            f"{source}: made with other losses; resume with the same --distill and review options"
        ) from None


def find_start(choice: str, files: RunFiles) -> tuple[dict[str, Any], str]:
    """Return the checkpoint that a run goes on from, and its name; both are empty if there is none.

    The choice is a file, "auto" for the newest good checkpoint of this run, or "" for none. Raises FileNotFoundError if
    there is no such file; ValueError if it is damaged, or all of "auto" are.
    """
    if choice and choice != "auto":
        return checkpoint.load(choice), choice
    if not choice:
        return {}, ""
    if newest := Checkpoints(files.checkpoint, files.best, 0).newest():
        return newest[0], str(newest[1])
    log.info("--resume auto: no checkpoint of this run yet, it starts afresh")
    return {}, ""


def check_is_newest(state: Mapping[str, Any], source: str, files: RunFiles) -> None:
    """Refuse to go back where a run has gone on further: the newest checkpoints are those that are kept.

    Raises ValueError if there is a newer one.
    """
    position = int(state.get("epoch", 1)), int(state.get("step", 0))
    for newest, path in Checkpoints(files.checkpoint, files.best, 0).existing().items():
        if newest > position:
            raise ValueError(
                f"{path}: is newer than {source}; move it away, or use another --result_path or --run_name"
            )
        return
