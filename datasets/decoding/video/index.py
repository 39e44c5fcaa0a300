"""Index of a video file: display times of its frames, and the frames where decoding can begin."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from .containers import open_film
from .frames import Cursor, Timer
from .outline import CACHE_SIZE, VideoIndex, outline, state_of


def index_video(path: Path) -> VideoIndex:
    """Return the index of a video file, cached until the file changes.

    Raises FileNotFoundError if there is none; ValueError, "path: reason", for what is not a video, or has no frames;
    DamagedVideo if it is not whole.
    """
    index = outline(path)
    return index if len(index.seconds) else decoded_index(path, *state_of(path)).check(path, allow_short=False)


@lru_cache(CACHE_SIZE)
def decoded_index(path: Path, _modified: int, _size: int) -> VideoIndex:
    """Build the index of a file whose display times only decoding tells.

    The decoder names the packet after which a frame came out, the same one wherever it began. The last frames come
    out after none.
    """
    index = outline(path, allow_short=True)
    seconds: list[float] = []
    stamps: list[int] = []
    keys = [0]
    with open_film(path) as film:
        cursor, timer = Cursor(film, index), Timer(index)
        for position, frame in cursor.frames:
            seconds.append(timer(frame))
            stamps.append(frame.dts if frame.dts is not None else stamps[-1] + 1 if stamps else 0)
            if frame.key_frame and frame.dts is not None and position:
                keys.append(position)
    if not seconds:
        raise ValueError(f"{path}: no frame can be decoded")
    damage = index.damage or ("a part of it cannot be decoded" if cursor.damaged else "")
    index = index._replace(seconds=np.array(seconds), length=seconds[-1] + index.last, damage=damage)
    if index.clock != "dts" or (np.diff(stamps) <= 0).any():
        return index
    return index._replace(stamps=np.array(stamps, np.int64), keys=np.array(keys))
