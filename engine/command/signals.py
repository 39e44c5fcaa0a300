"""Signals to stop: the step under way ends, a checkpoint is written, and the exit code says why."""

import os
import signal
import threading
import time
from types import FrameType

from ..device.distributed import any_rank

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A terminal and Slurm signal every process of a run, and torchrun passes it on: it comes twice at once.
REPEAT_SECONDS = 2.0


class StoppedError(Exception):
    """A run that stopped because a signal of this number asked it to; what it did is saved."""

    def __init__(self, number: int, saved: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; {saved} is where --resume auto goes on")
        self.code = 128 + number


class Stop:
    """Record of the first SIGTERM or SIGINT in its block; the second one ends the process at once."""

    def __init__(self) -> None:
        self.number, self.since = 0, 0.0

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # others get no signals
            self.before = {number: signal.signal(number, self.note) for number in SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in getattr(self, "before", {}).items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Note a signal."""
        now = time.monotonic()
        if self.number and now - self.since >= REPEAT_SECONDS:
            os._exit(128 + number)
        if not self.number:
            self.number, self.since = number, now

    def agreed_signal(self) -> int:
        """Return the signal that asks to stop, in any process of the run, 0 if none does; all processes must ask."""
        if not any_rank(bool(self.number)):
            return 0
        return self.number or signal.SIGTERM
