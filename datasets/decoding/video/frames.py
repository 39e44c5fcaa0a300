"""Frames of a video file in display order: from the beginning, or from anywhere."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .containers import DamagedVideo, container_of, load_av, packets_of
from .outline import VideoIndex, scan

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Placed = tuple[int, "VideoFrame"]


class Cursor:
    """Position in a video stream that moves through its frames in display order.

    Args:
        film: Of a file that was just opened.
        index: Of the file; an outline will do for walking from the beginning.
        packets: All packets of the film; None to read them.
        seeks: Whether it may jump to frames where decoding can begin; else it decodes all from the first one.

    Attributes:
        damaged: Whether a part of what was decoded is damaged.
    """

    def __init__(
        self,
        film: "VideoStream",
        index: VideoIndex,
        packets: "Iterable[Packet] | None" = None,
        seeks: bool = False,
    ) -> None:
        self.film, self.index, self.seeks = film, index, seeks and len(index.stamps) > 0
        self.stamps = index.stamps.tolist()  # in which bisect is several times as quick as NumPy
        self.start(0, packets_of(film) if packets is None else packets)

    def start(self, key: int, packets: "Iterable[Packet]") -> None:
        """Begin at frame `key`, with the decoder as it is after opening or seeking."""
        self.frames = self.place_frames(key, packets)
        self.shown: Placed | None = None
        self.coming: Placed | None = None
        self.damaged = False

    def place_frames(self, key: int, packets: "Iterable[Packet]") -> Iterator[Placed]:
        """Yield (position, frame) from `key` on. Frames shown before it may need others that were not decoded."""
        error, position, skip = load_av().error.FFmpegError, key - 1, 0 if key else self.index.skipped
        for packet in packets:
            if packet.size and skip:
                skip -= 1
                continue
            if not packet.size and packet.dts is not None:  # an empty slot; the decoder would take it for the end
                continue
            try:
                frames = packet.decode()
            except error:
                self.damaged = True
                continue
            for frame in frames:
                place = self.place(frame, position)
                if place >= key:
                    position, self.damaged = place, self.damaged or frame.is_corrupt
                    yield position, frame

    def place(self, frame: "VideoFrame", before: int) -> int:
        """Return the position of a frame after one at position `before`; -1 for one shown before the first frame."""
        stamp = getattr(frame, self.index.clock) if self.stamps else None
        return before + 1 if stamp is None else bisect_right(self.stamps, stamp) - 1

    def reach(self, position: int) -> "VideoFrame | None":
        """Return the frame shown at a position, not before an earlier request; None if it cannot be decoded.

        Some encoders leave out a frame that equals the one before it; then that one is shown.
        """
        keys = self.index.keys
        key = int(keys[np.searchsorted(keys, position, side="right") - 1])
        if self.seeks and key > (self.shown[0] + 1 if self.shown else 0) and not self.jump(key):
            return None
        while self.shown is None or self.shown[0] < position:
            self.coming = self.coming or next(self.frames, None)
            if self.coming is None or (self.shown and self.coming[0] > position):
                break
            self.shown, self.coming = self.coming, None
        if self.shown is None or self.shown[1].is_corrupt or (self.shown[0] != position and self.damaged):
            return None
        return self.shown[1]

    def jump(self, key: int) -> bool:
        """Seek to a frame where decoding can begin; return whether the file then goes on there."""
        try:
            container_of(self.film).seek(int(self.index.stamps[key]), stream=self.film)
        except load_av().error.FFmpegError:
            return False
        self.start(key, packets_of(self.film))
        self.coming = next(self.frames, None)
        return self.coming is not None and self.coming[0] == key


class Timer:
    """Seconds since the first frame, of frames in display order, by their own timestamps.

    A frame whose stamp is missing or does not increase comes one period after its predecessor: the last frames of an
    AVI file have none, and raw streams have none at all.
    """

    def __init__(self, index: VideoIndex) -> None:
        self.index, self.start, self.seconds = index, 0.0, -1.0

    def __call__(self, frame: "VideoFrame") -> float:
        stamp = getattr(frame, self.index.clock) if self.index.clock else None
        at = None if stamp is None else stamp * self.index.unit
        if self.seconds < 0:
            self.start, self.seconds = at or 0.0, 0.0
        elif at is not None and at - self.start > self.seconds:
            self.seconds = at - self.start
        else:
            self.seconds += self.index.period
        return self.seconds


def timed_frames(path: Path) -> Iterator[tuple[float, "VideoFrame"]]:
    """Yield (seconds since the first frame, decoded frame) for every frame of a file; the seconds increase.

    One that the decoder leaves out, for the encoder found it equal to the one before, is that one once more. Raises as
    `index_video`.
    """
    with scan(path) as (film, index, packets):
        yield from walk(path, film, index, packets)


def walk(
    path: Path, film: "VideoStream", index: VideoIndex, packets: "Iterable[Packet]", allow_short: bool = False
) -> Iterator[tuple[float, "VideoFrame"]]:
    """Yield `timed_frames` of an open video stream, with index and packets as `scan` gives them.

    With `allow_short` it is what can be decoded of a damaged file.
    """
    cursor, timer = Cursor(film, index, packets), Timer(index)
    count = 0
    shown: VideoFrame | None = None
    for position, frame in cursor.frames:
        if cursor.damaged and not allow_short:
            break
        for missing in range(count, position):
            yield float(index.seconds[missing]), shown or frame
        if position >= count:
            yield float(index.seconds[position]) if len(index.seconds) else timer(frame), frame
            count, shown = position + 1, frame
    if cursor.damaged and not allow_short:
        raise DamagedVideo(f"{path}: it cannot be decoded after {count} frames; get the file again")
    if shown is None:
        raise ValueError(f"{path}: no frame can be decoded")
    for missing in range(count, len(index.seconds)):
        yield float(index.seconds[missing]), shown
