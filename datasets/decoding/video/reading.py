"""Reading frames of video files: all of them at a constant rate and a given size, or some by their position."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

import cv2
from cv2.typing import MatLike as Frame

from .containers import open_film
from .frames import Cursor, walk
from .index import index_video
from .outline import scan
from .pictures import Picture, Pictures
from .rates import check_rate, resample
from .sizes import Scaler


def read_video(
    path: str | Path,
    fps: float | None = 25.0,
    short_side: int | None = 256,
    allow_short: bool = False,
    bgr: bool = False,
) -> Iterator[Frame]:
    """Yield the frames of a video as uint8 RGB (H, W, 3), one at a time; errors come while iterating.

    At a constant rate frame k shows what is on the screen at k / fps seconds after the first frame, rounded to
    the nearest tick; frames are dropped or repeated. Rotation metadata is applied.

    Args:
        path: A file of one of `containers.FORMATS`; always a file, never a URL or a pattern of image names.
        fps: Frames per second of the result; None gives every frame once.
        short_side: Pixels of the shorter side, the other keeps the proportion; None keeps the size.
        allow_short: Accept a file that is cut short or damaged; the frame before stays in place of what is missing.
        bgr: Give BGR, which OpenCV writes to files.

    Raises:
        FileNotFoundError: No such file.
        ValueError: `path: reason` for what is not a video, has no frames, or is too large.
        DamagedVideo: It ends before its film should, or a part of it cannot be decoded.
    """
    check_rate(fps)
    path = Path(path)
    with scan(path, allow_short) as (film, index, packets):
        frames = walk(path, film, index, packets, allow_short)
        shown = ((frame, 1) for _, frame in frames) if fps is None else resample(frames, fps, index.last, path)
        picture, scale = Pictures(path, index.size, bgr), Scaler(short_side, path)
        try:
            for frame, ticks in shown:
                yield from repeat(scale(picture(frame)), ticks)
        except cv2.error as error:
            raise ValueError(f"{path}: {error.err}") from error


def read_positions(path: Path, positions: Sequence[int]) -> Iterator[Picture]:
    """Yield frames of a video by position, uint8 RGB (H, W, 3), as `read_video` gives them, in the first one's size.

    Positions are ascending, from 0. Decoding begins at the nearest frame where it can, and goes no further than needed.
    Raises ValueError if a frame cannot be decoded, and as `index_video`.
    """
    index, remaining = index_video(path), list(positions)
    pictures = Pictures(path, index.size)
    for seeks in (True, False):  # where seeking misses its aim
        with open_film(path) as film:
            cursor = Cursor(film, index, seeks=seeks)
            while remaining and (frame := cursor.reach(remaining[0])) is not None:
                yield pictures(frame)
                remaining.pop(0)
        if not remaining:
            return
    raise ValueError(f"{path}: frame {remaining[0] + 1} of the file cannot be decoded; get the file again")
