"""Training a run to its end: epochs, stopping, what is written when."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from .distributed import barrier, is_main, world
from .lock import Lock
from .loop import Epoch, evaluate, train_one_epoch
from .metrics import Averages
from .optim import learning_rate
from .pace import Pace
from .profiling import Profile
from .records import RunLogs
from .run import Run
from .signals import Stop, StoppedError
from .summary import describe, plan_of

log = logging.getLogger(__name__)

TRAIN_COLUMNS = {"epoch": "epoch", "loss": "loss", "acc": "acc", "lr": "lr"}


class Loader(Protocol):
    """An iterable of batches that can be told where to begin."""

    def __iter__(self) -> Any: ...
    def __len__(self) -> int: ...
    def set_epoch(self, epoch: int, step: int = 0) -> None: ...


def fit(
    run: Run,
    train: Loader,
    val: Loader,
    train_columns: Mapping[str, str] = TRAIN_COLUMNS,
    *,
    clip_flops: float | None = None,
    clip_bytes: float | None = None,
) -> None:
    """Train from the position of `run` up to and including epoch `run.epochs`.

    Args:
        run: The run, fresh or resumed.
        train: Training batches.
        val: Validation batches.
        train_columns: Columns of the training log, see `TsvLog`.
        clip_flops: See `summary.plan_of`; told at the start.
        clip_bytes: Likewise.

    Raises:
        FloatingPointError: If the loss is not finite.
        StoppedError: If a signal asked to stop; the position is saved.
        ValueError: If another run writes to the same files.
    """
    with ExitStack() as stack:
        stop = stack.enter_context(Stop())
        logs = None
        if is_main():
            stack.enter_context(Lock(run.files.folder))
            if not run.resumed and run.checkpoints.found():
                raise ValueError(
                    f"{run.files.best.parent}: holds checkpoints of this run already: go on with --resume auto, "
                    "use another --result_path, or remove them"
                )
            run.checkpoints.sweep(run.files.folder, run.files.train_log, run.files.val_log)
            for line in describe(plan_of(run, train, val, clip_flops=clip_flops, clip_bytes=clip_bytes)):
                log.info(line)
            if run.writes_logs:
                logs = RunLogs(run.files, run.info["options"], run.epoch, train_columns)
                stack.callback(logs.close)
        task = parallel(run)
        run.pace = Pace(len(train), len(val), run.epochs - run.epoch + 1, run.step)
        steps = run.profile_steps if is_main() else 0
        run.profile = stack.enter_context(Profile(steps, run.device, run.files.folder))
        while run.epoch <= run.epochs:
            fit_epoch(run, task, train, val, logs, stop)


def parallel(run: Run) -> nn.Module:
    """The task as the processes of a run share it."""
    if world() == 1:
        return run.task
    on_gpu = run.device.type == "cuda"
    if run.sync_bn and on_gpu:
        run.task = nn.SyncBatchNorm.convert_sync_batchnorm(run.task)
    return DistributedDataParallel(run.task, device_ids=[run.device.index] if on_gpu else None)


def share_weights(network: nn.Module) -> None:
    """Take the weights and running statistics of the first process, which are saved.

    Without SyncBN every process has statistics of its own, and an average of weights that began from its own.
    """
    if world() > 1:
        for tensor in network.state_dict().values():
            torch.distributed.broadcast(tensor, 0)


def fit_epoch(run: Run, task: nn.Module, train: Loader, val: Loader, logs: RunLogs | None, stop: Stop) -> None:
    """Train for the rest of an epoch, validate, write it down."""
    epoch, label = run.epoch, f"epoch {run.epoch}/{run.epochs}"
    lr = run.rate = run.rate if run.step else learning_rate(run.stepper.optimizer)

    def leave(metrics: Mapping[str, float]) -> None:
        if number := stop.wanted():
            path = run.checkpoints.path(run.epoch, run.step)
            run.save(path, metrics)
            barrier()  # torchrun ends all processes as soon as one has ended, also the one that still writes
            raise StoppedError(number, str(path))

    def after_step(done: int) -> None:
        run.step = done
        leave({})
        if run.save_steps and done % run.save_steps == 0:
            run.save(run.checkpoints.path(run.epoch, run.step), {})

    train.set_epoch(epoch, run.step)
    run.task.epoch = epoch  # type: ignore[assignment]
    rest = Epoch(label, run.step, run.averages, after_step, run.pace, run.profile)
    trained = train_one_epoch(task, train, run.stepper, run.device, rest, amp=run.amp)
    run.step = len(train)
    with run.stepper.averaged():
        share_weights(run.task.get_submodule("model.network"))
        # Processes may have more or fewer validation batches than others, so several agree on stopping afterwards.
        stopped = (lambda: bool(stop.number)) if world() == 1 else (lambda: False)
        tested = evaluate(run.task, val, run.device, stopped=stopped, amp=run.amp, pace=run.pace)
    leave({})
    run.stepper.schedule.epoch(tested["loss"])
    run.epoch, run.step, run.averages = epoch + 1, 0, Averages()
    log.info(
        "%s  lr %.2g  loss %.4f  acc %.3f  val loss %.4f  val acc %.3f",
        *(label, lr, trained["loss"], trained["acc"], tested["loss"], tested["acc"]),
    )
    if logs:
        logs.write(epoch, lr, trained, tested, run.device)
    if (score := (tested["acc"], -tested["loss"])) > run.best:
        run.best = score
        run.save(run.files.best, tested)
    if epoch % run.checkpoint_every == 0 or epoch == run.epochs:
        run.save(run.checkpoints.path(run.epoch, 0), tested)
    leave(tested)
