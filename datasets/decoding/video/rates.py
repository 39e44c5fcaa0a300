"""Resampling to a constant frame rate: which frame is on the screen at each tick, and how evenly that takes them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .index import index_video
from .outline import CACHE_SIZE, VideoIndex, state_of

MAX_GAP = 60.0  # seconds; damaged timestamps would otherwise fill the disk with copies of one frame
MOST_UNEVEN = 0.02  # share of steps unlike the median that still counts as even: 29.97 for 30 frames per second

Item = TypeVar("Item")


def check_rate(fps: float | None, option: str = "fps") -> None:
    """Refuse a rate that no video has; raises ValueError."""
    if fps is not None and not 0 < fps < 1000:
        raise ValueError(f"{option} must be between 0 and 1000, or None for the video's own, got {fps}")


def resample(
    frames: Iterable[tuple[float, Item]], fps: float, last: float, path: str | Path
) -> Iterator[tuple[Item, int]]:
    """Yield (frame, ticks of `fps` that show it): a tick shows the last frame whose time rounds to it or before.

    Frames come with their seconds, the first at 0; the last one is shown for `last` seconds. Raises ValueError, which
    names the `path`, if the times cannot be right.
    """
    tick, before = 0, 0.0
    shown: Item | None = None
    for seconds, frame in frames:
        if seconds - before > MAX_GAP:
            raise ValueError(f"{path}: {seconds - before:.0f} s without a frame; its timestamps are damaged")
        if shown is not None and (ticks := nearest_tick(seconds, fps) - tick) > 0:
            yield shown, ticks
        tick, shown, before = nearest_tick(seconds, fps), frame, seconds
    ticks = max(nearest_tick(before + min(last, MAX_GAP), fps), 1) - tick
    if shown is not None and ticks > 0:
        yield shown, ticks


def nearest_tick(seconds: float, fps: float) -> int:
    """Round `seconds * fps`, ties up; the small term keeps ties ties when milliseconds were rounded."""
    return math.floor(seconds * fps + 0.5 + 1e-6)


def ticks_of(path: Path, fps: float) -> NDArray[np.int64]:
    """Return the frame of a file, counted from 0, that each tick of a rate shows; raises as `resample`."""
    return make_ticks(path, fps, *state_of(path))


@lru_cache(CACHE_SIZE)
def make_ticks(path: Path, fps: float, _modified: int, _size: int) -> NDArray[np.int64]:
    """Compute `ticks_of` for one state of a file."""
    index = index_video(path)
    return positions_at(index.seconds.tolist(), fps, index.last, path)


def positions_at(seconds: Sequence[float], fps: float, last: float, path: Path) -> NDArray[np.int64]:
    """Return the frame that each tick of a rate shows, by the times of the frames; arguments as `resample`."""
    runs = list(resample(zip(seconds, count()), fps, last, path))
    return np.repeat(*np.array(runs, np.int64).T)


def mean_rate(index: VideoIndex) -> float:
    """Compute frames per second: their number over the length, where their times are known."""
    return len(index.seconds) / index.length if len(index.seconds) else 1 / index.period


def is_even(path: Path, index: VideoIndex, fps: float) -> bool:
    """Whether a rate takes every frame of a file, every second one, and so on; raises as `resample`."""
    seconds = index.seconds.tolist() or [i * index.period for i in range(max(1, round(index.length / index.period)))]
    steps = np.diff(positions_at(seconds, fps, index.last, path))  # frames from tick to tick; 0: one is repeated
    median = np.median(steps) if len(steps) else 1
    return bool(median >= 1 and np.count_nonzero(steps != median) <= MOST_UNEVEN * len(steps))
