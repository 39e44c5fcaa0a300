"""Loops over training and validation data. They know no model, dataset or loss by name."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sts_common import counted

from ..device.distributed import any_rank, sum_over_ranks, world
from ..device.precision import autocast
from ..device.prefetch import Batch, Feed, num_clips
from ..evaluation.metrics import top1
from ..monitor.averages import Averages
from ..monitor.display import Display
from ..monitor.pace import Pace
from ..monitor.profiling import Profile
from .stepper import Stepper

log = logging.getLogger(__name__)

CHECK_EVERY = 50  # steps between checks of a GPU's losses: each check waits for it


@dataclass(frozen=True)
class Epoch:
    """An epoch, or the part of it that is still to come.

    Attributes:
        label: What it is called.
        first: Batches that are done already.
        averages: What they gave; goes on.
        leaves_out: Told of each batch whether this process cannot learn from it, because its videos could not be read;
            says whether all processes leave it out.
        least_clips: Smallest number of clips in a batch that can be learned from.
        after_step: Called after each step with the number of batches done, and what raises if a loss was not finite:
            on a GPU that may not have been looked at for a while, and has to be before anything is saved.
        pace: Of the run.
        profile: Told of every step.
    """

    label: str = "train"
    first: int = 0
    averages: Averages = field(default_factory=Averages)
    leaves_out: Callable[[bool], bool] = lambda too_few: too_few
    least_clips: int = 1
    after_step: Callable[[int, Callable[[], None]], None] = lambda done, check: None
    pace: Pace | None = None
    profile: Profile | None = None


def train_one_epoch(
    task: nn.Module, loader: Iterable[Batch], stepper: Stepper, device: torch.device, epoch: Epoch, *, amp: str = "off"
) -> dict[str, float]:
    """Go through the data once, with a step for every `stepper.iter_size` batches.

    The task, see `models.tasks.Task`, may be wrapped for several processes. The loader has the batches from
    `epoch.first` on; one of no clips counts, so that batches have the same numbers with and without bad videos, but
    nothing is learned. For `amp` see `precision.autocast`.

    Returns:
        Sample means of every scalar of the task, "acc", the top-1 accuracy on the clips, in [0, 1], where they have a
        "label" (N,), and how long it waited for data and why, and its speed, see `Display.speed`.

    Raises:
        FloatingPointError: If the loss is not finite. On a CPU that is before the step.
        ValueError: If nothing of any batch could be read.
    """
    task.train()
    finite = FiniteCheck(1 if device.type == "cpu" else CHECK_EVERY, epoch.label, epoch.first)
    batches = len(loader)  # type: ignore[arg-type]
    feed = Feed(loader, device, preparation(task))
    with Display(feed, epoch.label, epoch.averages, first=epoch.first, pace=epoch.pace) as display:
        for done, batch in enumerate(display, epoch.first + 1):
            last = stepper.closes(done - 1, batches)
            clips = num_clips(batch)
            if epoch.leaves_out(clips < epoch.least_clips):
                if clips:
                    log.warning("%s, batch %d: left out with %s", epoch.label, done, counted(clips, "readable video"))
                finite.note(torch.zeros((), device=device))
                if last:
                    share_gradients(task)
            else:
                with without_exchange(task, last):
                    with autocast(device, amp):
                        out = task(batch)
                    loss = total_loss(out)
                    finite.note(loss, batch.get("video", ()))
                    stepper.backward(loss, stepper.group(done - 1, batches))
                epoch.averages.update(scalars(out, batch), clips)
            if last:
                finish_step(stepper)
                if epoch.profile:
                    epoch.profile.step()
                epoch.after_step(done, finite.check)
        finite.check()  # waits for the device, so that the time of its last steps counts
    means = epoch.averages.result()
    if batches and not means:
        raise ValueError(
            f"{epoch.label}: no training video could be read; utils1/audit.py says what is wrong with them"
        )
    return means | display.speed()


def preparation(task: nn.Module) -> Callable[[Batch], Batch] | None:
    """Return what a task does with batches before they are on their device, if anything."""
    return getattr(task.module if isinstance(task, DistributedDataParallel) else task, "prepare", None)


def without_exchange(task: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Return a context that sums gradients without exchanging them, except with the last batch of a step."""
    return nullcontext() if last or not isinstance(task, DistributedDataParallel) else task.no_sync()


def share_gradients(task: nn.Module) -> None:
    """Average gradients over ranks, as the backward pass of a step's last batch does unless it is left out."""
    if isinstance(task, DistributedDataParallel):
        for parameter in task.parameters():
            if parameter.grad is not None:
                sum_over_ranks(parameter.grad).div_(world())


def finish_step(stepper: Stepper) -> None:
    """Update the weights from the batches of a step; if all of them were left out, only the schedule goes on."""
    if stepper.pending:
        stepper.step()
    else:
        stepper.schedule.step()


@torch.inference_mode()
def evaluate(
    task: nn.Module,
    loader: Iterable[Batch],
    device: torch.device,
    *,
    stopped: Callable[[], bool] = lambda: False,
    amp: str = "off",
    pace: Pace | None = None,
    averages: Averages | None = None,
) -> dict[str, float]:
    """Go through the data once without learning; arguments and means as `train_one_epoch`.

    `stopped` is asked after every batch; what is returned once it says yes is of no use. The `averages`, of which the
    means are read, know the number of clips, too.
    """
    task.eval()
    averages = averages or Averages()
    with Display(Feed(loader, device, preparation(task)), "val", averages, pace=pace, kind="val") as display:
        for batch in display:
            with autocast(device, amp):
                out = task(batch)
            averages.update(scalars(out, batch), num_clips(batch))
            if stopped():
                break
    return averages.result()


class FiniteCheck:
    """Check that stops a run whose loss is no longer finite, without waiting for the device at every step.

    There are `every` batches between checks, and `done` batches before; `label` is the epoch, for the error.
    """

    def __init__(self, every: int, label: str = "train", done: int = 0) -> None:
        self.every, self.label, self.step, self.total = every, label, done, torch.zeros(())
        self.names: list[Sequence[str]] = []  # of the batches since the last check

    def note(self, loss: Tensor, names: Sequence[str] = ()) -> None:
        """Note the loss of a batch of these videos; a sum of losses is finite as long as every one is."""
        self.total = self.total.to(loss.device) + loss.detach()
        self.step += 1
        self.names.append(names)
        if self.step % self.every == 0:
            self.check()

    def check(self) -> None:
        """Raise if a loss noted since the last check was not finite in any process."""
        if self.every > 1 and world() > 1:
            sum_over_ranks(self.total)
        if not math.isfinite(value := self.total.item()):
            within = "" if self.every == 1 else f" or up to {self.every - 1} before"
            videos = ", ".join(name for names in self.names for name in names)[:500]
            raise FloatingPointError(
                f"the loss became {value} in {self.label}, step {self.step}{within}, on {videos}: lower "
                "--learning_rate or the loss weights; the last checkpoint is from before"
            )
        self.total, self.names = torch.zeros(()), []


def check_weights(task: nn.Module, label: str) -> None:
    """Raise if a gradient has made weights, or a batch running statistics, of any process NaN or infinite.

    The loss shows that one batch later, when a checkpoint of them may be the newest.
    """
    values = [*task.parameters(), *(buffer for buffer in task.buffers() if buffer.is_floating_point())]
    if any_rank(not torch.stack([value.detach().isfinite().all() for value in values]).all().item()):
        raise FloatingPointError(
            f"the weights became NaN or infinite in {label}, where the loss was still finite: lower "
            "--learning_rate, or limit gradients with --clip_grad; the last checkpoint is from before"
        )


def total_loss(out: Mapping[str, Tensor]) -> Tensor:
    """Return "loss", with the losses that adversaries lower added: those have gradients of their own."""
    adversary_losses = [value for name, value in out.items() if name.startswith("own_loss")]
    return torch.stack([out["loss"], *adversary_losses]).sum() if adversary_losses else out["loss"]


def scalars(out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Return the means to log: every scalar of the task, and the accuracy where there are labels and logits."""
    named = "label" in batch and "logits" in out
    accuracy = {"acc": top1(out["logits"], batch["label"])} if named else {}
    return accuracy | {name: value for name, value in out.items() if value.dim() == 0}
