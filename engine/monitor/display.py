"""Progress of a loop: a bar on a terminal, elsewhere a line now and then."""

import logging
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from operator import length_hint
from typing import Any

import torch
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from sts_common import size_in_words

from ..device.distributed import is_main, world
from ..device.hardware import device_name, memory_used
from ..device.prefetch import Feed, num_clips
from .averages import Averages
from .pace import Pace, in_time

REFRESH_SECONDS = 2.0  # seconds between two reads of the device's sums, each of which waits for it
LOG_SECONDS = 300.0  # seconds between two lines where there is no terminal
WINDOW = 16  # marks over which the rate is taken
BAR_FORMAT = "{desc}: {percentage:.0f}%|{bar:5}|{n_fmt}/{total_fmt} {elapsed}<{remaining}{postfix}"
SPEED_PREFIXES = ("data_", "seconds", "clips_per_second", "memory_gb")  # how names begin that `Display.speed` gives

log = logging.getLogger(__name__)


class Display:
    """Progress display over the batches of a feed; for `with`. Only the first of several processes shows it.

    The host and a GPU wait for it once in 2 seconds on a terminal, once in 5 minutes elsewhere. `averages`
    has the means to show, "loss", "acc" and terms "loss_*", of this process alone; `first` batches are done already,
    which `feed` leaves out; the `pace` of the whole run is told of every batch, as of a `kind`.
    """

    def __init__(
        self,
        feed: Feed,
        label: str,
        averages: Averages | None = None,
        *,
        first: int = 0,
        pace: Pace | None = None,
        kind: str = "train",
    ) -> None:
        self.feed, self.label, self.averages, self.pace, self.kind = feed, label, averages or Averages(), pace, kind
        self.done, self.clips, self.main = first, 0, is_main()
        self.terminal = self.main and sys.stderr.isatty()
        self.total = length_hint(feed) or None  # the loader may not know
        self.stack = ExitStack()
        self.begin = self.last = self.refreshed = time.perf_counter()
        self.marks = deque([(self.begin, self.done, 0)], maxlen=WINDOW)  # (time, batches, clips)

    def __enter__(self) -> "Display":
        if self.terminal:
            self.stack.enter_context(logging_redirect_tqdm())  # lines of the log go above the bar
        bar = tqdm(
            desc=self.label,
            total=self.total,
            initial=self.done,
            leave=False,
            disable=not self.terminal,
            file=sys.stderr,
            dynamic_ncols=True,
            bar_format=BAR_FORMAT,
        )
        self.bar = self.stack.enter_context(bar)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.last = time.perf_counter()
        self.stack.close()
        if error is None and self.main and (advice := self.feed.advice()):
            log.info("%s: %s", self.label, advice)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.begin = self.last = self.refreshed = time.perf_counter()
        self.marks[0] = (self.begin, self.done, 0)
        for batch in self.feed:
            yield batch
            self.count(num_clips(batch))

    def count(self, clips: int) -> None:
        """Count a batch of so many clips."""
        now = time.perf_counter()
        self.done, self.clips = self.done + 1, self.clips + clips
        self.bar.update()
        if self.pace and self.pace.step(self.kind, now - self.last) and self.main:
            log.info(self.pace.expected())
        self.last = now
        if self.main and now - self.refreshed >= (REFRESH_SECONDS if self.terminal else LOG_SECONDS):
            self.refreshed = now
            self.marks.append((now, self.done, self.clips))
            self.show()

    def show(self) -> None:
        """Bring the bar up to date, or log a line."""
        if self.terminal:
            self.bar.set_postfix_str(", ".join(self.parts()))
            return
        seconds, batches, _ = self.recent()
        remaining = [f"{in_time((self.total - self.done) * seconds / batches)} left"] if self.total and batches else []
        of = f" of {self.total:,}" if self.total else ""
        log.info("%s: %s", self.label, ", ".join([f"{self.done:,}{of} batches", *remaining, *self.parts()]))

    def parts(self) -> list[str]:
        """Return the parts of the display, the most important first: a narrow terminal cuts off the end."""
        means = local_means(self.averages)
        seconds, _, clips = self.recent()
        parts = [f"{name} {means.pop(name):.3g}" for name in ("loss", "acc") if name in means]
        parts += [f"{clips * world() / seconds:.3g} clips/s"] if clips else []
        parts += [self.feed.shown(), size_in_words(memory_used(self.feed.device))]
        remaining = self.pace.remaining() if self.pace else None
        parts += [] if remaining is None else [f"run {in_time(remaining)}"]
        terms = [f"{name.removeprefix('loss_')} {mean:.3g}" for name, mean in means.items()]
        return [*parts, " ".join(terms)] if terms else parts

    def recent(self) -> tuple[float, int, int]:
        """Return the seconds since the oldest mark in memory, and the batches and clips of this process since then."""
        (before, batches, clips), (now, done, all_clips) = self.marks[0], self.marks[-1]
        return max(now - before, 1e-9), done - batches, all_clips - clips

    def speed(self) -> dict[str, float]:
        """Return waiting (see `Feed.result`), "seconds", "clips_per_second" of all processes, and "memory_gb"."""
        seconds = max(self.last - self.begin, 1e-9)
        return self.feed.result() | {
            "seconds": seconds,
            "clips_per_second": self.clips * world() / seconds,
            "memory_gb": memory_used(self.feed.device) / 1e9,
        }


def local_means(averages: Averages) -> dict[str, float]:
    """Return the means so far in this process, without asking the others; waits for the device once."""
    if not averages.totals:
        return {}
    totals = torch.stack([*averages.totals.values()]).tolist()
    return {name: total / averages.counts[name] for name, total in zip(averages.totals, totals, strict=True)}


def speed_row(metrics: Mapping[str, float], device: torch.device) -> dict[str, Any]:
    """Return a row of speed.jsonl: the numbers that differ between two runs of one seed.

    What `Display.speed` gave is taken out of the metrics of an epoch on this device.
    """
    row: dict[str, Any] = {name: value for name, value in metrics.items() if name.startswith(SPEED_PREFIXES)}
    return row | {"device": device_name(device), "ranks": world()}
