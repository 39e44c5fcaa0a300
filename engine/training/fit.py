"""Training a run to its end: epochs, stopping, checkpoints and logs."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, cast

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sts_common import counted

from ..checkpoint.lock import Lock, check_is_fresh
from ..command.signals import Stop, StoppedError
from ..device.distributed import any_rank, barrier, gather, group_of, is_main, is_shared, take_from_main
from ..device.hardware import contention
from ..monitor.averages import Averages
from ..monitor.logs import RunLogs
from ..monitor.pace import Pace
from ..monitor.profiling import Profile
from .loop import Epoch, check_weights, evaluate, train_one_epoch
from .optim import learning_rate
from .run import Run
from .summary import describe

log = logging.getLogger(__name__)

TRAIN_COLUMNS = {"epoch": "epoch", "loss": "loss", "acc": "acc", "lr": "lr"}


class LeftOut(Protocol):
    """Names of the training videos that are left out because they cannot be read, of at most so many."""

    most: int
    names: list[str]

    def extend(self, names: Iterable[str]) -> None: ...


class Loader(Protocol):
    """An iterable of batches that can be told where to begin."""

    @property
    def left_out(self) -> LeftOut: ...

    def __iter__(self) -> Any: ...
    def __len__(self) -> int: ...
    def set_epoch(self, epoch: int, step: int = 0) -> None: ...


def run_epochs(
    run: Run,
    train: Loader,
    val: Loader,
    train_columns: Mapping[str, str] = TRAIN_COLUMNS,
    *,
    clip_flops: float | None = None,
    clip_bytes: float | None = None,
) -> None:
    """Train from the position of a run, fresh or resumed, up to and including the last epoch.

    `train_columns` are those of the training log, see `TsvLog`; `clip_flops` and `clip_bytes` are logged at the start,
    see `summary.describe`.

    Raises:
        FloatingPointError: If the loss is not finite.
        StoppedError: If a signal asked to stop; the position is saved.
        ValueError: If another run writes to the same files, or more training videos are bad than may be.
    """
    restore_left_out(run, train.left_out)
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        logs = None
        if is_main():
            stack.enter_context(Lock(run.files.folder))
            if run.resumed:
                run.checkpoints.prune_behind((run.epoch, run.step))
            else:
                check_is_fresh(run.checkpoints)
            run.checkpoints.sweep(run.files.folder, run.files.train_log, run.files.val_log)
            for line in describe(run, train, val, clip_flops=clip_flops, clip_bytes=clip_bytes):
                log.info(line)
            if advice := contention(run.device):
                log.warning(advice)
            if run.settings.log:
                logs = RunLogs(run.files, run.info["options"], run.epoch, train_columns)
                stack.callback(logs.curves.close)
        task = parallel(run)
        run.pace = Pace(len(train), len(val), run.settings.n_epochs - run.epoch + 1, run.step)
        steps = run.settings.profile if is_main() else 0
        run.profile = stack.enter_context(Profile(steps, run.device, run.files.folder))
        while run.epoch <= run.settings.n_epochs:
            fit_epoch(run, task, train, val, logs, stop)


def restore_left_out(run: Run, left_out: LeftOut) -> None:
    """Count videos that the run has left out before with those to come, in all its checkpoints."""
    if before := run.info.get("left_out"):
        log.info("left out before, %s: %s", counted(len(before), "bad training video"), ", ".join(before)[:500])
        left_out.extend(before)
    run.info["left_out"] = left_out.names


def agreement(left_out: LeftOut) -> Callable[[bool], bool]:
    """Agree on leaving out a batch; see `Epoch.leaves_out`: all skip it, or the others would wait for its gradients.

    A video that one of them cannot read is counted by all, which so stop at the same step if it is one too many.
    """
    exchanged = len(left_out.names)

    def leaves_out(too_few: bool) -> bool:
        nonlocal exchanged
        if not left_out.most or not any_rank(too_few or len(left_out.names) > exchanged):
            return False
        ranks = gather((too_few, list(left_out.names)))
        left_out.extend(name for _, names in ranks for name in names)
        exchanged = len(left_out.names)
        return any(too_few for too_few, _ in ranks)

    return leaves_out


def with_shared_statistics(task: nn.Module) -> nn.Module:
    """Return a task whose batch norms share the statistics of their batches among processes.

    Those of timm may have an activation in them, which torch loses; timm keeps it, and does the same for
    all others.
    """
    converter: Any = sys.modules.get("timm.layers", nn.SyncBatchNorm)  # there is none of timm's before it is imported
    return cast(nn.Module, converter.convert_sync_batchnorm(task))


def parallel(run: Run) -> nn.Module:
    """Return the task as the processes of a run share it.

    Statistics stay those of each process, for `share_weights`: else all buffers of all networks, those of frozen
    teachers too, would be sent before every forward pass. The argument `broadcast_buffers` would leave them out at the
    start as well, and torch warns of it from 2.13 on.
    """
    if not is_shared():
        return run.task
    on_gpu = run.device.type == "cuda"
    if run.settings.sync_bn and on_gpu:
        run.task = with_shared_statistics(run.task)
    task = DistributedDataParallel(
        run.task,
        device_ids=[run.device] if on_gpu else None,
        process_group=group_of(run.device),
        gradient_as_bucket_view=True,
    )
    task.broadcast_buffers = False
    return task


def share_weights(network: nn.Module) -> None:
    """Take the weights and running statistics of the first process, which are saved.

    Without SyncBN every process has statistics of its own, and an average of weights that began from its own.
    """
    for tensor in network.state_dict().values():
        take_from_main(tensor)


class Saving:
    """Times at which a run's checkpoints are written; every process of it must ask at the same steps.

    `label` is the epoch, for errors.
    """

    def __init__(self, run: Run, stop: Stop, label: str) -> None:
        self.run, self.stop, self.label = run, stop, label

    def save(self, path: Path, metrics: Mapping[str, float]) -> None:
        """Write a checkpoint if the weights are finite."""
        check_weights(self.run.task, f"{self.label}, step {self.run.step}")
        self.run.save(path, metrics)

    def leave(self, metrics: Mapping[str, float], check: Callable[[], None] = lambda: None) -> None:
        """Write a checkpoint and raise, if a signal has come."""
        if number := self.stop.agreed_signal():
            check()
            path = self.run.checkpoints.path(self.run.epoch, self.run.step)
            self.save(path, metrics)
            barrier()  # torchrun ends all processes as soon as one has ended, also the one that still writes
            raise StoppedError(number, str(path))

    def after_step(self, done: int, check: Callable[[], None]) -> None:
        """Save or stop after a step; see `Epoch.after_step`."""
        before, self.run.step = self.run.step, done
        self.leave({}, check)
        # A step of several batches may end beyond the batch that is asked for.
        every = self.run.settings.save_steps
        if every and done // every > before // every:
            check()
            self.save(self.run.checkpoints.path(self.run.epoch, done), {})


def format_means(means: Mapping[str, float], subset: str = "") -> str:
    """Format the loss of an epoch, and its accuracy where there are classes."""
    accuracy = f"  {subset}acc {means['acc']:.3f}" if "acc" in means else ""
    return f"{subset}loss {means['loss']:.4f}{accuracy}"


def validate(run: Run, val: Loader, stop: Stop) -> tuple[dict[str, float], int]:
    """Return the metrics of the weights that are saved, and the number of clips; of no use once a signal has come."""
    stopped, averages = lambda: bool(stop.number), Averages()
    with run.stepper.averaged():
        share_weights(run.task.get_submodule("model.network"))
        # Each process stops for itself, for some have more batches than others; that all do is agreed on afterwards.
        metrics = evaluate(
            run.task, val, run.device, stopped=stopped, amp=run.settings.amp, pace=run.pace, averages=averages
        )
    return metrics, averages.number()


def fit_epoch(run: Run, task: nn.Module, train: Loader, val: Loader, logs: RunLogs | None, stop: Stop) -> None:
    """Train for the rest of an epoch, validate, write it down."""
    epoch, settings = run.epoch, run.settings
    label = f"epoch {epoch}/{settings.n_epochs}"
    lr = run.rate = run.rate if run.step else learning_rate(run.stepper.optimizer)
    saving = Saving(run, stop, label)
    train.set_epoch(epoch, run.step)
    run.task.epoch = epoch  # type: ignore[assignment]
    run.stepper.begin_epoch()
    remaining = Epoch(
        label,
        run.step,
        run.averages,
        leaves_out=agreement(train.left_out),
        least_clips=cast(int, run.task.least_clips),
        after_step=saving.after_step,
        pace=run.pace,
        profile=run.profile,
    )
    trained = train_one_epoch(task, train, run.stepper, run.device, remaining, amp=settings.amp)
    run.step = len(train)
    tested, clips = validate(run, val, stop)
    saving.leave({})
    run.stepper.schedule.epoch(tested["loss"])
    run.epoch, run.step, run.averages = epoch + 1, 0, Averages()
    log.info("%s  lr %.2g  %s  %s", label, lr, format_means(trained), format_means(tested, "val "))
    if logs:
        logs.write(epoch, lr, trained, tested, run.device)
    better, run.best = run.best.accepts(tested, clips), run.best.after(tested, clips)
    if better:
        saving.save(run.files.best, tested)
    if epoch % settings.checkpoint == 0 or epoch == settings.n_epochs:
        saving.save(run.checkpoints.path(run.epoch, 0), tested)
    saving.leave(tested)
