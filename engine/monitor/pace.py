"""Pace of a run and its expected end."""

import math
from datetime import datetime, timedelta

from sts_common import counted

WARM_UP = 10  # batches that are not timed: compiling, choosing kernels, starting workers
REPORT_AFTER = 50  # batches after which the time of the whole run is told
MEAN_WINDOW = 1000  # batches that a mean looks back on: the machine of a long run gets busier and freer
FORWARD = 1 / 3  # of a training batch's time: a backward pass takes twice that of a forward pass


class Batches:
    """Batches of one kind, `remaining` in a run and `seen`; mean seconds of one, 0 as long as none was timed."""

    def __init__(self, remaining: int) -> None:
        self.remaining, self.seen, self.seconds = remaining, 0, 0.0

    def step(self, seconds: float) -> None:
        """Count one batch."""
        self.remaining, self.seen = max(0, self.remaining - 1), self.seen + 1
        if (timed := self.seen - WARM_UP) > 0:
            self.seconds += (seconds - self.seconds) * max(1 / timed, 1 / MEAN_WINDOW)


class Pace:
    """Time of a run's batches, and from it that of the batches to come; checkpoints are not counted.

    `train` and `val` are this process's batches of an epoch, `first` those of the epoch under way that are done, and
    `epochs` are left to do, that one included.
    """

    def __init__(self, train: int, val: int, epochs: int, first: int = 0) -> None:
        self.kinds = {"train": Batches(train * epochs - first), "val": Batches(val * epochs)}

    def step(self, kind: str, seconds: float) -> bool:
        """Note the seconds of a batch of a kind, "train" or "val"; return whether it is time to log `expected`."""
        self.kinds[kind].step(seconds)
        return kind == "train" and self.kinds[kind].seen == REPORT_AFTER and self.kinds[kind].remaining > 0

    def remaining(self) -> float | None:
        """Estimate the seconds to the end of the run; None as long as nobody can know."""
        train, val = self.kinds["train"], self.kinds["val"]
        if not train.seconds:
            return None
        return train.remaining * train.seconds + val.remaining * (val.seconds or train.seconds * FORWARD)

    def expected(self) -> str:
        """Format a line on how long the run will take."""
        seconds, train = self.remaining() or 0.0, self.kinds["train"]
        end = datetime.now() + timedelta(seconds=seconds)
        return (
            f"expected time: {in_time(seconds)}, until {end:%Y-%m-%d %H:%M} "
            f"({counted(train.remaining, 'training batch')} of {train.seconds:.3f} s to go, and validation)"
        )


def in_time(seconds: float) -> str:
    """Format a span of time like "45 s", "12 min", "3.2 h" or "4.1 d"."""
    if seconds < 60:
        return f"{math.ceil(seconds)} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"
