"""End of a command that is asked to stop while others work for it."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


@contextmanager
def ended_in_order(left: str) -> Iterator[None]:
    """Leave the block at the first SIGTERM as at Ctrl-C, and say so; the second signal acts as without this block.

    `left` says in that line what becomes of the work under way. Raises KeyboardInterrupt at Ctrl-C; SystemExit at
    SIGTERM, with its exit code.
    """
    if threading.current_thread() is not threading.main_thread():  # others get no signals
        yield
        return
    stopped = ""

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = signal.Signals(number).name
        restore()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, stop) for number in SIGNALS}
    try:
        yield
    finally:
        restore()
        if stopped:
            log.warning("stopped by %s: %s", stopped, left)
