"""Time of loading by step: reading files, decoding, transforming; per thread, so that workers do not mix."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

STEPS = ("read", "decode", "transform")


class Counters(threading.local):
    """Seconds by step, of the current thread."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STEPS, 0.0)


counters = Counters()


@contextmanager
def spent(step: str) -> Iterator[None]:
    """Count the time of the block as spent on one of `STEPS`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        counters.seconds[step] += time.perf_counter() - start


def take() -> list[float]:
    """Return the seconds of this thread by step since the last call, in the order of `STEPS`."""
    seconds, counters.seconds = counters.seconds, dict.fromkeys(STEPS, 0.0)
    return list(seconds.values())
