"""Warnings about how a video file is read: timestamps that cannot be right, and pauses."""

import numpy as np
from numpy.typing import NDArray

from .packets import UNKNOWN, Packets

MAX_RATE = 250  # frames per second: faster ones are damaged timestamps, since cameras film real time at up to 240
JUMP = 1.0  # seconds by which times go back where two recordings were joined; less is FFmpeg's guess of a missing one
GAP, GAP_PERIODS = 0.2, 3  # seconds and frames, both of which a pause in a film of an even rate must exceed
EVEN = 0.9  # share of steps of about the median length that makes a rate even


def describe(
    shown: Packets, skipped: int, clock: str, unit: float, seconds: NDArray[np.float64], period: float
) -> tuple[str, ...]:
    """Return the warnings about how a file is read."""
    notes = []
    if skipped:
        notes.append(f"its first {skipped} packets need a frame that is not in the file; it begins after them")
    if not clock or is_too_fast(seconds):
        span = f"{len(seconds)} frames in {seconds[-1]:.3g} s" if len(seconds) else "missing, or all alike"
        rate = f"{1 / period:.5g} per second"
        notes.append(f"its timestamps cannot be right ({span}); frames are taken in their order, {rate}")
    elif (np.diff(shown.dts[shown.dts != UNKNOWN]) * unit < -JUMP).any():
        notes.append("its timestamps jump back; the frames after that are taken in their order")
    elif len(gaps := find_gaps(seconds)):
        first, most = gaps[0], np.diff(seconds)[gaps].max()
        places = f"{len(gaps)} times, first" if len(gaps) > 1 else "once,"
        notes.append(
            f"it has no frame for up to {most:.2f} s, {places} after {seconds[first]:.2f} s: a part of it may be "
            "missing; the frame before stays on the screen"
        )
    return tuple(notes)


def find_gaps(seconds: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the frames after which a film of an even rate shows nothing new for long.

    Some demuxers go on after lost data without an error. Films of an uneven rate have such pauses by themselves.
    """
    steps = np.diff(seconds)
    median = np.median(steps) if len(steps) else 0.0
    gaps = np.flatnonzero(steps > max(GAP, GAP_PERIODS * median))
    even = np.count_nonzero(np.abs(steps - median) < median / 2)
    return gaps if even >= EVEN * (len(steps) - len(gaps)) else gaps[:0]


def is_too_fast(seconds: NDArray[np.float64]) -> bool:
    """Whether frames follow each other faster than they can have been filmed."""
    return len(seconds) > 1 and seconds[-1] * MAX_RATE < len(seconds) - 1
