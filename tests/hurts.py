"""Faults that a run is given from within, by name: see `runs.Server.start`."""

import atexit
import ctypes
import hashlib
import itertools
import os
import shutil
import signal
import time
from pathlib import Path

import torch
import torch.distributed as dist
from judges import MoodyJudge

import engine.training.loop
import models.distillation
import models.tasks
from models.distill import DISTILLERS, LossSpec


def wrap(change) -> None:
    """Let `change(forward, task, batch)` stand for the forward pass of every task, which it may call."""

    def hurt(kind: type) -> None:
        original = kind.forward
        kind.forward = lambda self, batch: change(original, self, batch)

    hurt(models.tasks.Classify)
    hurt(models.distillation.Distill)


def forwards(change) -> None:
    """Let `change(number, out)` have every output of a training step, counted from 1."""
    numbers = itertools.count(1)

    def call(forward, task, batch):
        out = forward(task, batch)
        return change(next(numbers), out) if task.training else out

    wrap(call)


def note_steps(name: str, lines) -> None:
    """Append `lines(task, batch)`, with the epoch, to `name.RANK` before every training step."""

    def call(forward, task, batch):
        if task.training:
            with Path(f"{name}.{os.environ.get('RANK', '0')}").open("a") as file:
                file.writelines(f"{task.epoch} {line}\n" for line in lines(task, batch))
        return forward(task, batch)

    wrap(call)


def slow_steps() -> None:
    """Every training step takes a tenth of a second more."""

    def wait(number, out):
        time.sleep(0.1)
        return out

    forwards(wait)


def long_step() -> None:
    """The third training step takes as long as a test has patience."""

    def wait(number, out):
        if number == 3:
            Path("long").touch()
            time.sleep(100)
        return out

    forwards(wait)


def not_finite() -> None:
    """The loss of the 7th training step is not a number."""
    forwards(lambda number, out: out | {"loss": out["loss"] * torch.nan} if number == 7 else out)


def rarely_looked_at() -> None:
    """The loss of the 7th training step is not a number, and losses are looked at as rarely as those of a GPU."""
    not_finite()
    check = engine.training.loop.FiniteCheck
    engine.training.loop.FiniteCheck = lambda every, *more: check(engine.training.loop.CHECK_EVERY, *more)


def no_group_for_cpu() -> None:
    """The default group takes no tensor of a CPU, as that of NCCL; losses are looked at now and then, as on a GPU."""
    start, check = dist.init_process_group, engine.training.loop.FiniteCheck
    dist.init_process_group = lambda backend, **options: start("cuda:gloo", **options)
    engine.training.loop.FiniteCheck = lambda every, *more: check(2, *more)


def endless_gradient() -> None:
    """The gradient of the 8th training step is infinite, its loss is not."""

    def change(number, out):
        if number == 8:
            out["loss"].register_hook(lambda gradient: gradient * torch.inf)
        return out

    forwards(change)


def slow_validation() -> None:
    """From the second one on every batch of a validation takes half a second, and says so first."""

    def call(forward, task, batch):
        if not task.training and task.epoch == 2:
            with Path("validated").open("a") as file:
                file.write("batch\n")
            time.sleep(0.5)
        return forward(task, batch)

    wrap(call)


def die_writing() -> None:
    """SIGKILL at the call that DIE_AT counts, of those that change files, before it, half-way or after it."""
    number, when = os.environ["DIE_AT"].split()
    calls = itertools.count(1)

    def hurt(owner: object, name: str) -> None:
        original = getattr(owner, name)

        def call(*arguments, **options):
            now = next(calls) == int(number)
            if now and when != "after":
                if when == "half" and name == "write_text":
                    original(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **options)
            if now:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, call)

    for name in ("replace", "unlink", "write_text", "write_bytes", "rename"):
        hurt(Path, name)
    for name in ("fsync", "replace"):
        hurt(os, name)


def long_validation() -> None:
    """The first batch of the second validation takes a second, and says so."""
    numbers = itertools.count(1)

    def call(forward, task, batch):
        if not task.training and next(numbers) == 3:
            Path("long").touch()
            time.sleep(1)
        return forward(task, batch)

    wrap(call)


def small_disk() -> None:
    """`results` moves to a disk of DISK bytes that no other process sees; at the end what is on it is kept."""
    libc, everything = ctypes.CDLL(None, use_errno=True), 1 << 17  # CLONE_NEWNS
    recursive, private = 1 << 14, 1 << 18
    before = Path.cwd() / "results"
    before.mkdir(exist_ok=True)
    earlier = before.rename(before.with_name("earlier"))
    before.mkdir()
    calls = (
        libc.unshare(everything),
        libc.mount(None, b"/", None, recursive | private, None),
        libc.mount(b"tmpfs", bytes(before), b"tmpfs", 0, f"size={os.environ['DISK']}".encode()),
    )
    assert calls == (0, 0, 0), os.strerror(ctypes.get_errno())
    shutil.copytree(earlier, before, dirs_exist_ok=True)
    shutil.rmtree(earlier)

    def keep() -> None:
        shutil.copytree(before, before.with_name("kept"))
        libc.umount2(bytes(before), 2)  # MNT_DETACH
        before.rmdir()
        before.with_name("kept").rename(before)

    atexit.register(keep)


def note_weights() -> None:
    """Write the weights before every training step to `weights.RANK`, to the last bit."""

    def digest(task, batch) -> list[str]:
        data = b"".join(parameter.detach().numpy().tobytes() for parameter in task.parameters())
        return [hashlib.sha256(data).hexdigest()]

    note_steps("weights", digest)


def a_judge() -> None:
    """`--distill judge` is a loss with an optimiser of its own."""
    DISTILLERS["judge"] = LossSpec(MoodyJudge)


def note_videos() -> None:
    """The videos of every training step go to `videos.RANK`, with the epoch."""
    note_steps("videos", lambda task, batch: batch["video"])


def like_gpus() -> None:
    """A default group as that of GPUs, and notes: videos, and in `statistics.RANK` a running mean before each step."""
    note_videos()
    note_steps("statistics", lambda task, batch: [str(next(task.model.network.buffers()).sum().item())])
    no_group_for_cpu()
