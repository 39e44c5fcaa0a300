"""When each frame of a video file is on the screen, found without decoding, and where decoding can begin."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..decode import DURATION_SLACK, MAX_SIDE, states_count

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

# Formats of one file with frames in it: a playlist could name other files, and addresses in the network.
FORMATS = "avi,asf,flv,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo"
SEEKABLE = ("mov", "matroska", "avi", "flv", "asf")  # after seeking, an MPEG stream numbers its frames anew
KEPT = 16384  # indexes per process, a few kilobytes each
UNKNOWN_RATE = 25


class VideoIndex(NamedTuple):
    """The frames of a video file in the order in which they are shown, counted from 0.

    Attributes:
        seconds: Of each frame since the first one, increasing.
        stamps: Its time in the unit of the file; empty where it can only be found by counting.
        keys: Frames at which decoding can begin, the first of all among them.
        period: Seconds from frame to frame by the file's rate.
        size: Width and height of the first frame, before any rotation.
        container: FFmpeg's name of the format of the file.
    """

    seconds: NDArray[np.float64]
    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
    period: float
    size: tuple[int, int]
    container: str


def load_av() -> ModuleType:
    """PyAV, which is loaded when the first video file is opened.

    Raises:
        ValueError: If it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(f"video files are read with PyAV ({error}): pip install av, or extract frames") from None
    return av


@contextmanager
def opened(path: Path) -> Iterator["InputContainer"]:
    """A video file whose first stream of pictures decodes in one thread; errors in the block name the file.

    Raises:
        FileNotFoundError: No such file.
        ValueError: `path: reason` for what is not a video file, or too large.
    """
    av = load_av()
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such video file")
    if not path.is_file():
        raise ValueError(f"{path}: is not a file")
    allowed = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "max_pixels": str(MAX_SIDE**2)}
    try:
        # Relative, `http:x.mp4` would be a URL.
        with av.open(os.path.abspath(path), options=allowed, metadata_errors="replace") as container:  # noqa: PTH100
            check_pictures(container, path)
            yield container
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: is not a video, or damaged at the start") from error


def check_pictures(container: "InputContainer", path: Path) -> None:
    """Prepare the first stream of pictures.

    Raises:
        ValueError: If there is none that can be decoded, or its frames are too large.
    """
    if not container.streams.video:
        raise ValueError(f"{path}: holds no pictures")
    context = container.streams.video[0].codec_context
    if context is None:
        raise ValueError(f"{path}: its pictures are in a form that cannot be decoded here")
    check_size(context.width, context.height, path)
    # One thread: loaders run one worker per core, and the frames of a damaged file stay reproducible.
    context.thread_count = 1
    context.thread_type = "NONE"


def check_size(width: int, height: int, path: Path) -> None:
    """Refuse frames of more than `MAX_SIDE` pixels in width or height; raises ValueError."""
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"{path}: frames of {width}x{height}, more than {MAX_SIDE}x{MAX_SIDE}")


def index_video(path: Path) -> VideoIndex:
    """The index of a video file, kept until the file changes.

    Raises:
        FileNotFoundError: No such file.
        ValueError: `path: reason` for what is not a video, has no frames, or fewer than it says.
    """
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such video file") from None
    return make_index(path, facts.st_mtime_ns, facts.st_size)


@lru_cache(KEPT)
def make_index(path: Path, _modified: int, _size: int) -> VideoIndex:
    """`index_video` for one state of a file."""
    with opened(path) as container:
        stream = container.streams.video[0]
        rate = float(stream.guessed_rate or 0)
        period = 1 / rate if 0 < rate < 1000 else 1 / UNKNOWN_RATE
        expected = stream.frames or round((container.duration or 0) / 1e6 / period)
        size = (stream.codec_context.width, stream.codec_context.height)
        packets = list(whole_packets(container))
        form = container.format.name
        reordered = bool(stream.codec_context.has_b_frames) and form == "avi"
        unit = float(stream.time_base or 0)
        start = max((stream.start_time or 0) * unit, 0)
    stamps = np.array([packet[0] for packet in packets if packet[0] is not None], np.int64)
    shown = np.unique(stamps)
    # AVI has no times of display: a list in the order of decoding shows that nobody worked them out.
    if len(shown) == len(packets) and not (reordered and np.array_equal(shown, stamps)):
        seekable = any(name in form for name in SEEKABLE)
        keys = np.searchsorted(shown, stamps[[packet[1] and seekable for packet in packets]])
        seconds = ((shown - shown[:1]) * unit).astype(np.float64)
        index = VideoIndex(seconds, shown, np.union1d([0], keys), period, size, form)
    else:
        seconds = decoded_seconds(path, period)
        index = VideoIndex(seconds, np.empty(0, np.int64), np.zeros(1, np.int64), period, size, form)
    check_length(path, index, expected, start)
    return index


def whole_packets(container: "InputContainer") -> Iterator[tuple[int | None, bool]]:
    """(time of display, whether decoding can begin there) of every frame, in the order of decoding."""
    for packet in packets_of(container):
        if packet.size and not packet.is_discard:
            yield packet.pts, packet.is_keyframe


def packets_of(container: "InputContainer") -> Iterator["Packet"]:
    """Packets of the first stream of pictures, as far as the file can be read."""
    av = load_av()
    try:
        yield from container.demux(container.streams.video[0])
    except av.error.FFmpegError:
        return  # cut short; whoever asks for frames beyond will say so


def decoded_seconds(path: Path, period: float) -> NDArray[np.float64]:
    """Seconds of every frame since the first one, by decoding all: of files that state no times of display.

    The decoder names the packet after which a frame came out; the last frames come out after none.
    """
    av = load_av()
    seconds: list[float] = []
    with opened(path) as container:
        unit, start = float(container.streams.video[0].time_base or 0), 0.0
        for packet in packets_of(container):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                continue
            for frame in frames:
                at = (frame.dts or 0) * unit
                start = start if seconds else at
                seconds.append(max(at - start, 0) if not seconds or at - start > seconds[-1] else seconds[-1] + period)
    return np.array(seconds)


def check_length(path: Path, index: VideoIndex, expected: int, start: float) -> None:
    """Refuse a file that ends before its container says, which may count the seconds before its first frame.

    Raises:
        ValueError: Names the file.
    """
    count = len(index.seconds)
    if not count:
        raise ValueError(f"{path}: no frame can be decoded")
    if states_count(path):
        short = count < expected - 1
    else:
        short = start + index.seconds[-1] + index.period < expected * index.period - DURATION_SLACK
    if short:
        raise ValueError(f"{path}: only {count} of {expected} frames are there; get the file again")
