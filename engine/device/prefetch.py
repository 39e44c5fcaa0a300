"""Batches on their device one step early, and the time that training waits for them."""

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

log = logging.getLogger(__name__)

Batch = Mapping[str, Any]

STEPS = ("read", "decode", "transform")  # what the columns of a batch's "seconds" are spent on
MIN_WAIT_FRACTION = 0.1  # of the time, waiting
MIN_SECONDS = 5.0
ADVICE = {
    "read": "the files come slowly: pack them with utils1/pack.py, put them on a faster disk, or give more --n_workers",
    "decode": "give more --n_workers if there are cores, or use --cache",
    "transform": "give more --n_workers if there are cores, or augment less",
    "": "give more --n_workers if there are cores; utils1/bench_loader.py tries what is faster",
}
FLOW_ADVICE = (
    "steps wait for the flow that their device computes, which more --n_workers cannot change: store flow once, with "
    "utils1/extract_frames_flows.py, and train from its files"
)


def num_clips(batch: Batch) -> int:
    """Count the clips of a batch: its labels, or else what its tensors hold."""
    counted = batch["label"] if "label" in batch else next((x for x in batch.values() if isinstance(x, Tensor)), ())
    return len(counted)


@runtime_checkable
class LoaderToFinish(Protocol):
    """Interface of a loader whose batches are finished on their device, as where flow is computed there."""

    def unfinished(self) -> Iterator[Batch]:
        """Yield batches that are still to be finished."""

    def finish(self, batch: Batch) -> dict[str, Any]:
        """Finish a batch whose tensors are on the device, on the current stream, without waiting for it."""


class Feed:
    """The batches of a loader, on a device, and the time that the loop waited for them.

    To a GPU a batch is copied, and there finished, while the step before it runs, on a stream of its own. Their
    "seconds", (N, 3), if any, which say what reading each clip took by `STEPS`, are kept here.

    Args:
        loader: Of batches on the CPU.
        device: Where they are wanted.
        prepare: Does with each what is better done before it is copied, unless the loader has still to finish it.
    """

    def __init__(
        self, loader: Iterable[Batch], device: torch.device, prepare: Callable[[Batch], Batch] | None = None
    ) -> None:
        self.loader, self.device, self.prepare = loader, device, prepare
        self.to_finish = loader if isinstance(loader, LoaderToFinish) else None
        gpu = device.type == "cuda"
        self.wait: HostWait = DeviceWait(device) if gpu else HostWait()
        self.finishing: HostWait = DeviceWait(device, host_waits=False) if self.to_finish and gpu else HostWait()
        self.seconds = torch.zeros(len(STEPS), dtype=torch.float64)
        self.start = self.end = time.perf_counter()

    def __len__(self) -> int:
        """Return the number of batches, if the loader can tell."""
        return len(self.loader)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.start = time.perf_counter()
        yield from self.batches_ahead() if self.device.type == "cuda" else self.batches_on_cpu()
        self.end = time.perf_counter()

    def timed_batches(self) -> Iterator[dict[str, Any]]:
        """Yield batches as they are loaded."""
        batches = self.to_finish.unfinished() if self.to_finish else iter(self.loader)
        while True:
            with self.wait:
                batch = next(batches, None)
            if batch is None:
                return
            self.end = time.perf_counter()
            yield self.take_seconds(batch)

    def batches_on_cpu(self) -> Iterator[dict[str, Any]]:
        """Yield batches on the CPU."""
        for batch in self.timed_batches():
            with self.finishing:
                finished = self.finish(batch)
            self.end = time.perf_counter()
            yield finished

    def finish(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return a batch on the device, finished there if its loader leaves that to us."""
        return self.to_finish.finish(batch) if self.to_finish else batch

    def batches_ahead(self) -> Iterator[dict[str, Any]]:
        """Yield batches on the GPU; the next one is already on its way when one is handed out."""
        side, current = copy_stream(self.device), torch.cuda.current_stream(self.device)
        following: dict[str, Any] | None = None
        for batch in self.timed_batches():
            with torch.cuda.stream(side):
                copied = self.finish(to_device(batch, self.device))
                arrived = side.record_event()
            if following is not None:
                yield following
            with self.finishing:
                current.wait_event(arrived)
            for tensor in copied.values():
                if isinstance(tensor, Tensor):
                    tensor.record_stream(current)  # or its memory may be given away while a step reads it
            following = copied
        if following is not None:
            yield following

    def take_seconds(self, batch: Batch) -> dict[str, Any]:
        """Return the batch, prepared, without its "seconds", which are added up."""
        batch = dict(batch)
        if (seconds := batch.pop("seconds", None)) is not None:
            self.seconds += seconds.double().sum(0)
        return dict(self.prepare(batch)) if self.prepare and not self.to_finish else batch

    @property
    def waited(self) -> float:
        """Return the fraction of the time in which nothing could be computed for want of data, in [0, 1]."""
        return min(1.0, self.wait.total() / max(self.end - self.start, 1e-9))

    @property
    def cause(self) -> str:
        """Return which of `STEPS` loading spends most time on; empty if the loader does not say."""
        return STEPS[int(self.seconds.argmax())] if self.seconds.any() else ""

    @property
    def waited_for_flow(self) -> float:
        """Return the fraction of the time in which steps waited until their batch was finished, in [0, 1]."""
        return min(1.0, self.finishing.total() / max(self.end - self.start, 1e-9)) if self.to_finish else 0.0

    def shown(self) -> str:
        """Format waiting and its cause, for a progress bar."""
        cause = f" ({self.cause})" if self.cause else ""
        flow = f", for flow {100 * self.waited_for_flow:.0f} %" if self.to_finish else ""
        return f"wait {100 * self.waited:.0f} %{cause}{flow}"

    def result(self) -> dict[str, float]:
        """Return waiting as a fraction of the time: "data_wait", and "data_flow" where flow is computed on the device.

        Where loading is slow, also the parts of that which are "data_read", "data_decode" and "data_transform".
        """
        total = self.seconds.sum().item()
        shares = (self.seconds / total).tolist() if total else []
        waits = {"data_wait": self.waited} | ({"data_flow": self.waited_for_flow} if self.to_finish else {})
        return waits | {f"data_{step}": share for step, share in zip(STEPS, shares, strict=False)}

    def advice(self) -> str:
        """Return a line on how to make the loop wait less, empty where that is not worth one."""
        if self.waited_for_flow >= max(self.waited, MIN_WAIT_FRACTION) and self.finishing.total() >= MIN_SECONDS:
            return f"{self.shown()}: {FLOW_ADVICE}"
        if self.waited < MIN_WAIT_FRACTION or self.wait.total() < MIN_SECONDS:
            return ""
        return f"{self.shown()}: {ADVICE[self.cause]}"


@cache
def copy_stream(device: torch.device) -> torch.cuda.Stream:
    """Return the stream on which batches are copied to a GPU: one for all loops, for each stream keeps memory."""
    return torch.cuda.Stream(device)


class HostWait:
    """Sum of the time of its blocks."""

    def __init__(self) -> None:
        self.seconds = self.entered = 0.0

    def __enter__(self) -> None:
        self.entered = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter() - self.entered

    def total(self) -> float:
        """Return seconds."""
        return self.seconds


class DeviceWait(HostWait):
    """Sum of the time that a GPU had nothing to do in its blocks, measured without ever waiting for it.

    The host waits for data while the GPU still works on the last step; that costs nothing. So events are put before
    and after each wait, and the GPU's time between them counts: where the host waits as well, at most that of the host.
    """

    def __init__(self, device: torch.device, *, host_waits: bool = True) -> None:
        super().__init__()
        self.device, self.host_waits = device, host_waits
        self.open: deque[tuple[torch.cuda.Event, torch.cuda.Event, float]] = deque()

    def mark(self) -> torch.cuda.Event:
        """Record an event at the end of the work that the GPU has been given."""
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def __enter__(self) -> None:
        self.before = self.mark()
        super().__enter__()

    def __exit__(self, *error: object) -> None:
        host = time.perf_counter() - self.entered if self.host_waits else math.inf
        self.open.append((self.before, self.mark(), host))
        self.add_passed()  # also where nobody looks, or a long epoch would hold all its events

    def add_passed(self) -> None:
        """Add the waits that the GPU has come past."""
        while self.open and self.open[0][1].query():
            before, after, host = self.open.popleft()
            self.seconds += min(host, before.elapsed_time(after) / 1000)

    def total(self) -> float:
        """Return seconds, of the waits that the GPU has come past."""
        self.add_passed()
        return self.seconds


def to_device(batch: Batch, device: torch.device) -> dict[str, Any]:
    """Copy the tensors of a batch, without waiting where memory is pinned."""
    return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
