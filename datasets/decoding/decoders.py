"""Some frames of a video file: from the nearest frame where decoding can begin, and no further than needed."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .containers import opened
from .frames import Cursor
from .index import index_video
from .pictures import Picture, Pictures

FULLY_TIMED = ("mov", "matroska")


def decode_pyav(path: Path, wanted: Sequence[int]) -> Iterator[Picture]:
    """RGB frames (H, W, 3) of a file by their position, ascending; upright, at the size of its first one.

    Raises:
        ValueError: If one cannot be decoded.
    """
    index, left = index_video(path), list(wanted)
    pictures = Pictures(path, index.size)
    for seeks in (True, False):  # where seeking misses its aim
        with opened(path) as film:
            cursor = Cursor(film, index, seeks)
            while left and (frame := cursor.reach(left[0])) is not None:
                yield pictures(frame)
                left.pop(0)
        if not left:
            return
    raise ValueError(f"{path}: frame {left[0] + 1} of the file cannot be decoded; get the file again")


def decode_torchcodec(path: Path, wanted: Sequence[int]) -> Iterator[Picture]:
    """As `decode_pyav`, by torchcodec where the container states all times: elsewhere it miscounts frames.

    Raises:
        ValueError: If it is not installed, or a frame cannot be decoded.
    """
    codec = load_torchcodec()
    index = index_video(path)
    if not len(index.stamps) or not any(form in index.container for form in FULLY_TIMED):
        yield from decode_pyav(path, wanted)
        return
    try:
        decoder = codec.VideoDecoder(os.path.abspath(path), dimension_order="NHWC", num_ffmpeg_threads=1)  # noqa: PTH100
        for position in wanted:
            yield decoder.get_frame_at(position).data.numpy()
    except (RuntimeError, IndexError) as error:
        raise ValueError(f"{path}: torchcodec cannot decode it ({str(error).splitlines()[0]})") from error


def load_torchcodec() -> Any:
    """The decoders of torchcodec.

    Raises:
        ValueError: If they are not installed, or FFmpeg's libraries are not.
    """
    try:
        import torchcodec.decoders
    except (ImportError, RuntimeError) as error:
        raise ValueError(
            f"--video_decoder torchcodec: cannot be loaded ({str(error).splitlines()[0]}): pip install torchcodec, "
            "which needs FFmpeg's shared libraries, or use pyav"
        ) from None
    return torchcodec.decoders


VIDEO_DECODERS: dict[str, Callable[[Path, Sequence[int]], Iterator[Picture]]] = {
    "auto": decode_pyav,  # which decodes as the extraction does, so that results do not depend on what is installed
    "pyav": decode_pyav,
    "torchcodec": decode_torchcodec,
}
