"""Which frames to read. Integers in, integers out: no files, no tensors. Frames count from 1."""

from collections.abc import Callable

import numpy as np

Sampler = Callable[[int, int, np.random.Generator], list[int]]

TAILS = ("overlap", "drop")


def random_clip(num_frames: int, length: int, rng: np.random.Generator) -> list[int]:
    """`length` consecutive frames from a uniform start; a shorter video is looped from a uniform phase.

    Args:
        num_frames: Frames of the video, >= 1.
        length: Frames of the clip, >= 1.
        rng: Draws the start.
    """
    starts = num_frames - length + 1 if num_frames >= length else num_frames
    return loop(int(rng.integers(starts)), num_frames, length)


def center_clip(num_frames: int, length: int, rng: np.random.Generator) -> list[int]:
    """The middle `length` frames; a shorter video is looped from its first frame."""
    return loop(max(num_frames - length, 0) // 2, num_frames, length)


def loop(start: int, num_frames: int, length: int) -> list[int]:
    """`length` frames from `start` (0-based), going round at the end of the video."""
    return [(start + i) % num_frames + 1 for i in range(length)]


SAMPLERS: dict[str, Sampler] = {"random": random_clip, "center": center_clip}


def clip_starts(num_frames: int, length: int, tail: str = "overlap") -> list[int]:
    """First frames (0-based) of the clips of a whole video: consecutive windows, one if the video is shorter.

    Args:
        num_frames: Frames of the video, >= 1.
        length: Frames of a clip, >= 1.
        tail: What happens to frames after the last whole window. "overlap" adds a window that ends with the
            video, so that no frame is lost; "drop" leaves them out, as the published numbers do.
    """
    starts = list(range(0, max(num_frames - length, 0) + 1, length))
    if tail == "overlap" and num_frames > starts[-1] + length:
        starts.append(num_frames - length)
    return starts
