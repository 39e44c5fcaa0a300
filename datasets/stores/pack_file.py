"""Reading a file of packed clips."""

import os
import weakref
import zlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..clips.views import Placement
from ..decoding.images import Decode, decode_images
from ..decoding.pixels import EXTRACT
from ..decoding.timing import spent
from .pack_format import CRC, HEAD, Description, front_size, read_front

CURE = "pack the video again"
SPARSE = 2  # files farther apart than this many times their bytes are read one by one


class PackFile:
    """An open file of packed clips; any thread may read it.

    Raises FileNotFoundError if it is not there; ValueError if it is damaged, or of another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self.file)  # when nobody reads it any more, whoever opened it
        try:
            front, file_size = front_size(os.pread(self.file, HEAD.size + CRC.size, 0)), os.fstat(self.file).st_size
            if file_size < front:
                raise ValueError("is cut short")
            self.front = read_front(os.pread(self.file, front, 0))
            size = front + sum(self.front.table["size"].tolist())
            if file_size != size:
                raise ValueError(f"has {file_size:,} bytes instead of {size:,}")
        except ValueError as error:
            raise ValueError(f"{path}: {error}; {CURE}") from None
        self.sizes = self.front.table["size"]
        self.starts = front + np.cumsum(self.sizes) - self.sizes
        self.planes, self.images = self.front.planes, self.front.images
        self.count = self.images // self.planes

    @cached_property
    def description(self) -> Description:
        """The description of the content; raises ValueError."""
        try:
            return self.front.description
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}; {CURE}") from None

    def load(self, numbers: Sequence[int]) -> list[memoryview]:
        """Read files by their numbers from 0, at once where they lie close together."""
        which = np.asarray(numbers)
        starts, sizes = self.starts[which].tolist(), self.sizes[which].tolist()
        first, last = min(starts), max(map(sum, zip(starts, sizes, strict=True)))
        if last - first > SPARSE * sum(sizes):
            return [self.bytes_at(start, size) for start, size in zip(starts, sizes, strict=True)]
        data = self.bytes_at(first, last - first)
        return [data[start - first : start - first + size] for start, size in zip(starts, sizes, strict=True)]

    def bytes_at(self, start: int, size: int) -> memoryview:
        """Read bytes of the file; raises ValueError if it has become shorter."""
        data = os.pread(self.file, size, start)
        if len(data) < size:
            raise ValueError(f"{self.path}: is cut short; {CURE}")
        return memoryview(data)

    def content(self, number: int) -> memoryview:
        """Read a file as it was packed; raises ValueError if it is damaged."""
        (data,) = self.load([number])
        if zlib.crc32(data) != self.front.table["crc"][number]:
            raise ValueError(f"{self.path}: {self.description.names[number]} in it is damaged; {CURE}")
        return data

    def show(self, frames: Sequence[int], channels: int, placement: Placement, decode: Decode) -> NDArray[np.uint8]:
        """Decode a placement of frames, counted from 1, as `decode_images` does: uint8 (C, T, height, width)."""
        planes = range(self.planes)
        with spent("read"):
            data = self.load([(frame - 1) * self.planes + plane for plane in planes for frame in frames])
        images = [data[plane * len(frames) :][: len(frames)] for plane in planes]
        names = [f"{self.path} frame {frame}" for frame in frames] * self.planes
        try:
            return decode_images(images, channels, placement, decode, names)
        except ValueError as error:
            raise ValueError(str(error).replace(EXTRACT, CURE)) from None
