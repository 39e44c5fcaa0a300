"""The two loops over data. They know no model, dataset or loss by name."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .metrics import Averages, top1
from .optim import Schedule
from .prefetch import Batch, Feed, progress
from .reproducibility import autocast

CHECK_EVERY = 50  # steps between looks at a GPU's losses: each look waits for it


def train_one_epoch(
    task: nn.Module,
    loader: Iterable[Batch],
    optimizer: Optimizer,
    schedule: Schedule,
    device: torch.device,
    *,
    amp: str = "off",
    label: str = "train",
) -> dict[str, float]:
    """Go through the data once, one step per batch.

    Args:
        task: See `models.tasks.Task`.
        loader: Batches with "label" (N,) and the streams that the task reads.
        optimizer: Steps once per batch.
        schedule: Told of every step.
        device: Where the task is.
        amp: See `reproducibility.autocast`.
        label: Shown before the progress bar.

    Returns:
        Sample means of every scalar of the task, "acc", the top-1 accuracy on the clips, in [0, 1], and how long it
        waited for data and why, see `Feed.result`.

    Raises:
        FloatingPointError: If the loss is not finite. On a CPU that is before the step.
    """
    task.train()
    averages, finite = Averages(), FiniteCheck(1 if device.type == "cpu" else CHECK_EVERY)
    feed = Feed(loader, device)
    for batch in progress(feed, label):
        with autocast(device, amp):
            out = task(batch)
        finite.see(out["loss"])
        optimizer.zero_grad(set_to_none=True)
        out["loss"].backward()
        optimizer.step()
        schedule.step()
        averages.update(scalars(out, batch), len(batch["label"]))
    finite.look()
    return averages.result() | feed.result()


@torch.inference_mode()
def evaluate(
    task: nn.Module, loader: Iterable[Batch], device: torch.device, *, amp: str = "off", label: str = "val"
) -> dict[str, float]:
    """Go through the data once without learning; arguments and means as `train_one_epoch`."""
    task.eval()
    averages = Averages()
    for batch in progress(Feed(loader, device), label):
        with autocast(device, amp):
            out = task(batch)
        averages.update(scalars(out, batch), len(batch["label"]))
    return averages.result()


class FiniteCheck:
    """Stops a run whose loss is no longer a number, without waiting for the device at every step.

    Args:
        every: Steps between looks.
    """

    def __init__(self, every: int) -> None:
        self.every, self.step, self.total = every, 0, torch.zeros(())

    def see(self, loss: Tensor) -> None:
        """Note the loss of a step; a sum of losses is finite as long as every one is."""
        self.total = self.total.to(loss.device) + loss.detach()
        self.step += 1
        if self.step % self.every == 0:
            self.look()

    def look(self) -> None:
        """Raise if a loss noted since the last look was not finite."""
        if not math.isfinite(value := self.total.item()):
            within = "" if self.every == 1 else f" or up to {self.every - 1} before"
            raise FloatingPointError(
                f"the loss became {value} at step {self.step}{within}: lower --learning_rate or the loss weights; "
                "the last checkpoint is from before"
            )
        self.total = torch.zeros(())


def scalars(out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """What is averaged and logged: every scalar of the task, and the accuracy."""
    return {"acc": top1(out["logits"], batch["label"])} | {k: v for k, v in out.items() if v.dim() == 0}
