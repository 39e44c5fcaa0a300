"""Live prediction: the newest clip is scored as often as the network can, and the frames between are dropped.

A thread reads all frames as they come and keeps those of one clip. So the frames of a clip always follow each other,
and an answer is never later than one clip takes to be scored, however slow that is.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
from torch import Tensor

from .live_sources import Picture

POLL = 0.2  # seconds after which a wait looks up, for Ctrl-C
WINDOW = "predict.py"

Clock = Callable[[], float]


class NewestFrames(NamedTuple):
    """The newest frames of a source."""

    frames: list[Picture]  # in order; fewer than wanted where the source ended before
    number: int  # of the last of them, from 1
    came: float  # when the last of them came, by the clock


class FrameReader:
    """Reader of a source in its own thread for the length of a `with` block; keeps its newest `count` frames.

    `number` frames have come, the first when it `began` and the last when it `came`, by the clock.
    """

    def __init__(self, frames: Iterator[Picture], count: int, clock: Clock = time.monotonic) -> None:
        self.source, self.count, self.clock = frames, count, clock
        self.recent: deque[Picture] = deque(maxlen=count)
        self.number, self.began, self.came, self.ended, self.left = 0, 0.0, 0.0, False, False
        self.error: ValueError | OSError | None = None
        self.changed = threading.Condition()
        # A daemon: nothing can interrupt a read from a pipe into which nobody writes.
        self.thread = threading.Thread(target=self.read, name="source", daemon=True)

    def __enter__(self) -> "FrameReader":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.left = True
        self.thread.join(2 * POLL)

    def read(self) -> None:
        """Keep the newest frames until the source ends or the block is left."""
        try:
            for frame in self.source:
                with self.changed:
                    self.recent.append(frame)
                    self.number, self.came = self.number + 1, self.clock()
                    self.began = self.began if self.number > 1 else self.came
                    self.changed.notify_all()
                if self.left:
                    return
        except (ValueError, OSError) as error:
            self.error = error  # raised where the frames are taken
        finally:
            with self.changed:
                self.ended = True
                self.changed.notify_all()

    def take(self, after: int, count: int, deadline: float) -> NewestFrames | None:
        """Return the newest frames, once `count` have come after frame `after` or the source has ended.

        `after` is 0 at the beginning. Returns None at the deadline, by the clock, or if nothing came before the end.
        Raises what the source raised.
        """
        with self.changed:
            while self.number < after + count and not self.ended and self.clock() < deadline:
                self.changed.wait(POLL)
            if self.error is not None:
                raise self.error
            if self.number <= after or self.clock() >= deadline:
                return None
            return NewestFrames(list(self.recent), self.number, self.came)


class Answer(NamedTuple):
    """Prediction for the newest clip."""

    probabilities: Tensor  # of the classes (K,)
    frame: Picture  # the newest one, to be shown
    seconds: float  # since the start
    rate: float  # frames looked at per second since the first one came
    delay: float  # seconds from when the newest frame came to now
    dropped: int  # frames so far that were in no clip


def watch(
    reader: FrameReader, score: Callable[[list[Picture]], Tensor], stride: int, seconds: float = math.inf
) -> Iterator[Answer]:
    """Yield answers one after the other, each to the newest clip when the one before it is given.

    `stride` frames must have come since the clip before; after so many seconds no clip is begun.
    """
    start, number, dropped = reader.clock(), 0, 0
    deadline = start + seconds
    while clip := reader.take(number, stride if number else reader.count, deadline):
        dropped += max(clip.number - len(clip.frames) - number, 0)
        number = clip.number
        probabilities = score(clip.frames)
        now = reader.clock()
        rate = (number - dropped) / max(now - reader.began, 1e-9)
        yield Answer(probabilities, clip.frames[-1], now - start, rate, now - clip.came, dropped)


def open_window() -> None:
    """Open a window for frames; raises ValueError if this OpenCV has none."""
    try:
        cv2.namedWindow(WINDOW)
    except cv2.error:
        raise ValueError(
            "--show: this OpenCV has no windows, or there is no screen; replace opencv-contrib-python-headless by "
            "opencv-contrib-python, or leave --show out"
        ) from None


def show(frame: Picture) -> None:
    """Show a frame in the window."""
    cv2.imshow(WINDOW, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    cv2.waitKey(1)
