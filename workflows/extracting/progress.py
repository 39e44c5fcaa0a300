"""Progress of an extraction: its rate, the time left, and the disk space it needs."""

import logging
import shutil
import sys
import threading
import time
from collections import Counter, deque
from pathlib import Path

from tqdm import tqdm

from sts_common import counted, size_in_words
from sts_common.workers import Counters

from .video_folder import Outcome

TICK = 1.0  # seconds between two looks at what is done
WINDOW = 60  # ticks over which the rate is taken, and between two lines where there is no terminal
FIRST = 10  # videos after which it is judged whether the others fit on the disk

log = logging.getLogger(__name__)


class Totals:
    """Counts of finished videos, and the estimates of the whole that follow from them.

    Videos differ in length, so that they count by their bytes, in all `source`: the others become as many images, and
    as many bytes on the disk, per byte as the finished ones. Progress is counted in "pairs", each of which is a flow
    image, or "frames".
    """

    def __init__(self, videos: int, source: int, unit: str) -> None:
        self.videos, self.source, self.unit = videos, source, unit
        self.finished = self.failed = self.read = self.written = 0  # videos, videos, bytes, bytes
        self.images = Counter[str]()
        self.start = time.monotonic()
        self.samples = deque([(self.start, 0)], maxlen=WINDOW)  # (time, units of all videos, also unfinished ones)

    @property
    def units(self) -> int:
        """Pairs or frames of the finished videos."""
        return self.images["flow" if self.unit == "pairs" else "rgb"]

    def add(self, outcome: Outcome) -> None:
        """Count a finished video."""
        self.images.update(outcome.counts)
        self.finished += 1
        self.failed += bool(outcome.problem)
        self.read += outcome.job.size
        self.written += outcome.size

    def expected(self, amount: int) -> float | None:
        """Extrapolate `amount` of the finished videos to all of them; None while it is 0."""
        return amount * self.source / self.read if amount else None

    def text(self, size: int) -> str:
        """Format rate, time left and disk at the newest sample; `size` in bytes is written so far."""
        (before, first), (now, count) = self.samples[0], self.samples[-1]
        rate = (count - first) / max(now - before, 1e-3)
        parts = [f"{rate:.1f} {self.unit}/s"]
        if rate and (total := self.expected(self.units)):
            parts.append(f"{tqdm.format_interval(max(total - count, 0) / rate)} left")
        total = self.expected(self.written)
        return ", ".join([*parts, size_in_words(size) + (f" of ~{size_in_words(max(total, size))}" if total else "")])

    def summary(self) -> str:
        """Format the mean rate since the start, "" if nothing was written."""
        rate = self.units / max(time.monotonic() - self.start, 1e-3)
        return f"; {rate:.1f} {self.unit}/s, {size_in_words(self.written)}" if self.units else ""


class Progress:
    """Progress bar that moves during long videos too, or a line in the log now and then; a context manager.

    Workers count in `counters`; `target` is on the disk that is written to.
    """

    def __init__(self, totals: Totals, counters: Counters, target: Path) -> None:
        self.totals, self.counters, self.target = totals, counters, target
        shape = "{n_fmt}/{total_fmt} videos |{bar}| {elapsed}{postfix}"
        self.bar = tqdm(total=totals.videos, disable=None, bar_format=shape)
        self.ended = threading.Event()
        self.clock = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Progress":
        self.clock.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.clock.join()
        self.bar.close()

    def watch(self) -> None:
        """Refresh the line until all has ended."""
        ticks = 0
        while not self.ended.wait(TICK):
            ticks += 1
            images, size = self.counters.images_and_size()
            self.totals.samples.append((time.monotonic(), images))
            text = self.totals.text(size)
            self.bar.set_postfix_str(text)
            if self.bar.disable and ticks % WINDOW == 0:
                log.info("%d of %s, %s", self.totals.finished, counted(self.totals.videos, "video"), text)

    def add(self, outcome: Outcome) -> None:
        """Count a finished video, and warn if it is bad or if the disk is too small."""
        self.totals.add(outcome)
        self.bar.update()
        if outcome.problem:
            say(f"bad video: {outcome.problem}")
        for note in outcome.notes:
            say(f"{outcome.job.video}: {note}")
        total = self.totals.expected(self.totals.written)
        if self.totals.finished == FIRST and total:
            needed, free = total - self.totals.written, shutil.disk_usage(self.target).free
            if needed > free:
                say(
                    f"warning: {self.target} will need about {size_in_words(needed)} more, "
                    f"but {size_in_words(free)} are free"
                )


def say(line: str) -> None:
    """Print a line on stderr, above the progress."""
    tqdm.write(line, file=sys.stderr)
