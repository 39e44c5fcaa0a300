"""Evenness of the frames of a video, as filmed and at a constant rate."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .outline import VideoIndex
from .rates import positions_at

UNEVEN = 0.02  # share of steps unlike the usual one that is not worth a word: 29.97 for 30 frames per second


def mean_rate(index: VideoIndex) -> float:
    """Compute frames per second: their number over the length, where their times are known."""
    return len(index.seconds) / index.length if len(index.seconds) else 1 / index.period


def steps_at(path: Path, index: VideoIndex, fps: float) -> NDArray[np.int64]:
    """Count the frames of the file from each tick of a rate to the next: 0 where a frame is repeated.

    Raises:
        ValueError: The times of the file cannot be right.
    """
    seconds = index.seconds.tolist() or [i * index.period for i in range(max(1, round(index.length / index.period)))]
    return np.diff(positions_at(seconds, fps, index.last, path))


def is_even(path: Path, index: VideoIndex, fps: float) -> bool:
    """Whether a rate takes every frame of a file, every second one, and so on; raises as `steps_at`."""
    steps = steps_at(path, index, fps)
    usual = np.median(steps) if len(steps) else 1
    return bool(usual >= 1 and np.count_nonzero(steps != usual) <= UNEVEN * len(steps))
