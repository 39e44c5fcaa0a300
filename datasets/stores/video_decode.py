"""Some frames of a video file: from the nearest frame where decoding can begin, and no further than needed."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..decode import resize
from .video_index import VideoIndex, check_size, index_video, load_av, opened, packets_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

FULLY_TIMED = ("mov", "matroska")
Picture = NDArray[np.uint8]
Placed = tuple[int, "VideoFrame"]


class Cursor:
    """Walks through a file in the order in which its frames are shown.

    Args:
        container: The file, opened.
        index: Of the file.
        seeks: Whether it may jump to frames where decoding can begin; else it decodes all from the first one.
    """

    def __init__(self, container: "InputContainer", index: VideoIndex, seeks: bool) -> None:
        self.container, self.index, self.seeks = container, index, seeks and len(index.stamps) > 0
        self.start(0)

    def start(self, key: int) -> None:
        """Begin at frame `key`, with the decoder as it is after opening or seeking."""
        self.frames = self.placed(key)
        self.shown: Placed | None = None
        self.coming: Placed | None = None
        self.damaged = False

    def placed(self, key: int) -> Iterator[Placed]:
        """(position, frame) from `key` on. Frames shown before it may need others that were not decoded."""
        av, stamps = load_av(), self.index.stamps
        count = -1
        for packet in packets_of(self.container):
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                self.damaged = True
                continue
            for frame in frames:
                count += 1
                if not len(stamps):
                    yield count, frame
                elif frame.pts is not None and frame.pts >= stamps[key]:
                    yield int(np.searchsorted(stamps, frame.pts, side="right")) - 1, frame

    def reach(self, position: int) -> "VideoFrame | None":
        """The frame shown at a position, not before those asked for earlier; None if it cannot be had.

        Some encoders leave out a frame that equals the one before it; then that one is shown.
        """
        keys = self.index.keys
        key = int(keys[np.searchsorted(keys, position, side="right") - 1])
        if self.seeks and key > (self.shown[0] + 1 if self.shown else 0) and not self.jump(key):
            return None
        while self.shown is None or self.shown[0] < position:
            self.coming = self.coming or next(self.frames, None)
            if self.coming is None or self.coming[0] > position:
                break
            self.shown, self.coming = self.coming, None
        if self.shown is None or (self.shown[0] < position and self.damaged):
            return None
        return self.shown[1]

    def jump(self, key: int) -> bool:
        """Seek to a frame where decoding can begin; whether that is where the file then goes on."""
        try:
            self.container.seek(int(self.index.stamps[key]), stream=self.container.streams.video[0])
        except load_av().error.FFmpegError:
            return False
        self.start(key)
        self.coming = next(self.frames, None)
        return self.coming is not None and self.coming[0] == key


def decode_pyav(path: Path, wanted: Sequence[int]) -> Iterator[Picture]:
    """RGB frames (H, W, 3) of a file by their position, ascending; upright, at the size of its first one.

    Raises:
        ValueError: If one cannot be decoded.
    """
    index, left = index_video(path), list(wanted)
    for seeks in (True, False):  # where seeking misses its aim
        with opened(path) as container:
            cursor = Cursor(container, index, seeks)
            while left and (frame := cursor.reach(left[0])) is not None:
                yield picture(frame, index.size, path)
                left.pop(0)
        if not left:
            return
    raise ValueError(f"{path}: frame {left[0] + 1} of the file cannot be decoded; get the file again")


def picture(frame: "VideoFrame", size: tuple[int, int], path: Path) -> Picture:
    """A decoded frame as RGB, upright."""
    check_size(frame.width, frame.height, path)
    converted = frame.reformat(format="rgb24", interpolation="BICUBIC", threads=1)  # as OpenCV does
    image = resize(
        converted.to_ndarray().astype(np.uint8, copy=False), size if all(size) else (frame.width, frame.height)
    )
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)), np.uint8)


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
