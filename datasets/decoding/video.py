"""Video files to frames, at a constant rate and a given size."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import cv2
from cv2.typing import MatLike as Frame

from .frames import timed_frames
from .outline import outline
from .pictures import Pictures
from .rates import check_rate, resample
from .sizes import Scaler


def read_video(
    path: str | Path, fps: float | None = 25.0, short_side: int | None = 256, allow_short: bool = False
) -> Iterator[Frame]:
    """Frames of a video as uint8 RGB (H, W, 3), one at a time; errors come while iterating.

    At a constant rate frame k shows what is on the screen at k / fps seconds after the first frame, rounded to
    the nearest tick; frames are dropped or repeated. Rotation metadata is applied.

    Args:
        path: A file of one of `containers.FORMATS`; always a file, never a URL or a pattern of image names.
        fps: Frames per second of the result; None gives every frame once.
        short_side: Pixels of the shorter side, the other keeps the proportion; None keeps the size.
        allow_short: Accept a file that is cut short or damaged; the frame before stays in place of what is missing.

    Raises:
        FileNotFoundError: No such file.
        ValueError: `path: reason` for what is not a video, has no frames, or is too large.
        DamagedVideo: It ends before its film should, or a part of it cannot be decoded.
    """
    check_rate(fps)
    path = Path(path)
    index, frames = outline(path, allow_short), timed_frames(path, allow_short)
    shown = ((frame, 1) for _, frame in frames) if fps is None else resample(frames, fps, index.last, path)
    picture, scale = Pictures(path, index.size), Scaler(short_side, path)
    try:
        for frame, ticks in shown:
            yield from repeat(scale(picture(frame)), ticks)
    except cv2.error as error:
        raise ValueError(f"{path}: {error.err}") from error
