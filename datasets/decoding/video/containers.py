"""Opening video files with PyAV: readable formats, the video stream of a file, and its packets."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

import numpy as np

from .sizes import MAX_SIDE, check_size

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# Formats of one file with frames in it: a playlist could name other files, and addresses in the network.
FORMATS = "avi,asf,dv,flv,gif,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mxf,ogg"


class DamagedVideo(ValueError):  # noqa: N818 - says what it is
    """A video file that is truncated, or of which a part cannot be decoded; the rest of it can be read."""


def load_av() -> ModuleType:
    """Import PyAV, when the first video file is opened; raises ValueError if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise ValueError(f"video files are read with PyAV ({error}): pip install av, or extract frames") from None
    keep_freed_memory()
    return av


@cache
def keep_freed_memory() -> None:
    """Make the process keep the memory of freed pictures for the next ones.

    glibc returns it to the system, and the next picture costs a page fault for each 4 kB: half of the time of its
    conversion. Having freed a larger block once, it keeps up to twice as much.
    """
    np.empty(24 << 20, np.uint8)


@contextmanager
def open_film(path: str | Path) -> Iterator["VideoStream"]:
    """Open the video stream of a file, which decodes in one thread; errors in the block name the file.

    Raises FileNotFoundError if there is none; ValueError, "path: reason", for what is not a video file, or too large.
    """
    av, path = load_av(), Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such video file")
    if not path.is_file():
        raise ValueError(f"{path}: is not a file")
    allowed = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "max_pixels": str(MAX_SIDE**2)}
    try:
        # Relative, `http:x.mp4` would be a URL.
        with av.open(os.path.abspath(path), options=allowed, metadata_errors="replace") as container:  # noqa: PTH100
            yield film_of(container, path)
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: is not a video, or damaged at the start") from error


def film_of(container: "InputContainer", path: str | Path) -> "VideoStream":
    """Return the first video stream, ready to decode: neither a cover nor of an unknown codec.

    Raises ValueError if there is none, or its frames are too large.
    """
    from av.codec.context import Flags
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    streams = [stream for stream in container.streams.video if not stream.disposition & still]
    if not streams:
        raise ValueError(f"{path}: holds no moving pictures")
    decodable = [stream for stream in streams if stream.codec_context is not None]
    if not decodable:
        raise ValueError(f"{path}: its pictures are in a form that cannot be decoded here")
    # A cover that is not marked as one is a stream of a single picture; where none is counted, FFmpeg's look at the
    # beginning of the file tells.
    film = next((stream for stream in decodable if stream.frames != 1), decodable[0])
    if len(decodable) > 1 and not film.frames and (best := container.streams.best("video")) in decodable:
        film = best
    context = film.codec_context
    check_size(context.width, context.height, path)
    # One thread: loaders and extraction run one worker per core, and the frames of a damaged file stay reproducible.
    context.thread_count = 1
    context.thread_type = "NONE"
    if context.name == "hevc":  # which would silently leave out frames that refer to a damaged one
        context.flags |= Flags.output_corrupt
    return film


def container_of(film: "VideoStream") -> "InputContainer":
    """Return the container that a video stream is read from."""
    return cast("InputContainer", film.container)


def packets_of(film: "VideoStream") -> Iterator["Packet"]:
    """Yield packets from the current position to the end, or to a read error; the last one is empty."""
    av = load_av()
    try:
        yield from container_of(film).demux(film)
    except av.error.FFmpegError:
        return  # the index has noticed it, too
