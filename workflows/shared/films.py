"""Films: timed pictures as H.264, or MPEG-4 where there is no encoder for that."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from datasets.decoding.video.containers import load_av
from sts_common.files import write_atomically

if TYPE_CHECKING:
    from av.video.stream import VideoStream

FILMS = {".mp4": "mp4", ".mkv": "matroska", ".mov": "mov"}  # suffix -> FFmpeg's name
ENCODERS = ("libx264", "mpeg4")  # the first one that there is
TICKS = 60_000  # per second: whole numbers for all usual rates; MPEG-4 allows up to 65,535
BITS_PER_PIXEL = 0.2  # of MPEG-4

Picture = NDArray[np.uint8]  # RGB (H, W, 3)
Timed = tuple[float, Picture]


def write_film(path: Path, pictures: Iterable[Timed], rate: float) -> None:
    """Write a film, whole or not at all; H.264 where it is available, without sound.

    The path ends in one of `FILMS`. Pictures, (seconds, picture), at least one, are of one size and in the order of
    their times; they keep these, `rate` being about theirs, and their size but for a row and a column more where it is
    odd. Raises ValueError if it cannot be encoded; OSError if it cannot be written.
    """
    av = load_av()

    def write(file: BinaryIO) -> None:
        with av.open(file, "w", format=FILMS[path.suffix.lower()]) as container:
            stream, last = None, -1
            for seconds, picture in pictures:
                stream = stream or add_stream(container, (picture.shape[1], picture.shape[0]), rate)
                frame = av.VideoFrame.from_ndarray(padded(picture), format="rgb24").reformat(format="yuv420p")
                last = max(last + 1, round(seconds * TICKS))
                frame.pts, frame.time_base = last, Fraction(1, TICKS)
                container.mux(stream.encode(frame))
            assert stream is not None
            container.mux(stream.encode())

    try:
        write_atomically(path, write)
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: cannot be encoded ({error.strerror})") from error


def add_stream(container: Any, size: tuple[int, int], rate: float) -> "VideoStream":
    """Add a stream of pictures of this width and height, made even."""
    codecs = load_av().codecs_available
    encoder = next(name for name in ENCODERS if name in codecs)
    stream = container.add_stream(encoder, rate=Fraction(rate).limit_denominator(1001))
    stream.width, stream.height = (side + side % 2 for side in size)
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, TICKS)
    if encoder == "libx264":
        # Where to put B-frames it decides by memory that it has not written: without them, one content is one file.
        stream.options = {"crf": "20", "preset": "veryfast", "bf": "0"}
    else:
        stream.bit_rate = int(stream.width * stream.height * rate * BITS_PER_PIXEL)
    return stream


def padded(frame: Picture) -> Picture:
    """Pad a frame to even height and width by repeating its last row and column."""
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
