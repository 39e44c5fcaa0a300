"""Reading a file of packed clips."""

import os
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clock import spent
from ..images import Decode, decode_images
from ..jpeg.restart import cut
from ..jpeg.segments import DamagedImageError, Window
from ..views import Box, Placement, View, whole
from .pack_format import CRC, HEAD, Kind, Original, read_description, read_front, read_originals

CURE = "pack the video again"
SPARSE = 2  # images farther apart than this many times their bytes are read one by one


class Loaded(NamedTuple):
    """Images in memory: `data`, and where in it each begins and how many bytes it has."""

    data: NDArray[np.uint8]
    starts: NDArray[np.uint64]
    sizes: NDArray[np.uint64]

    def image(self, i: int) -> NDArray[np.uint8]:
        """The payload of one."""
        return self.data[int(self.starts[i]) : int(self.starts[i] + self.sizes[i])]


class PackFile:
    """An open file; any thread may read it.

    Args:
        path: The file.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        weakref.finalize(self, os.close, self.file)  # when nobody reads it any more, whoever opened it
        try:
            head = self.bytes_at(0, HEAD.size + CRC.size, exact=False)
            self.front, self.size = read_front(head)
            if os.fstat(self.file).st_size != self.size:
                raise ValueError(f"has {os.fstat(self.file).st_size:,} bytes instead of {self.size:,}")
            self.description = read_description(self.bytes_at(0, self.front))
        except ValueError as error:
            raise ValueError(f"{path}: {error}; {CURE}") from None
        sizes = self.description.table["size"].astype(np.uint64)
        self.sizes, self.starts = sizes, self.front + np.cumsum(sizes) - sizes
        self.kinds = self.description.table["kind"].tolist()
        self.planes, self.images = self.description.planes, len(sizes)
        self.count = self.images // self.planes
        self.original_crc: int = HEAD.unpack_from(head)[5]

    def bytes_at(self, start: int, size: int, exact: bool = True) -> bytes:
        """Some of its bytes.

        Raises:
            ValueError: If it has become shorter.
        """
        data = os.pread(self.file, size, start)
        if exact and len(data) < size:
            raise ValueError("is cut short")
        return data

    def load(self, images: Sequence[int]) -> Loaded:
        """Payloads of images, counted from 0, in one piece where they lie close together."""
        which = np.asarray(images)
        starts, sizes = self.starts[which], self.sizes[which]
        first, last, total = int(starts.min()), int((starts + sizes).max()), int(sizes.sum())
        try:
            if last - first <= SPARSE * total:
                data = np.frombuffer(self.bytes_at(first, last - first), np.uint8)
                return Loaded(data, starts - np.uint64(first), sizes)
            parts = [self.bytes_at(int(start), int(size)) for start, size in zip(starts, sizes, strict=True)]
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}; {CURE}") from None
        return Loaded(np.frombuffer(b"".join(parts), np.uint8), np.cumsum(sizes) - sizes, sizes)

    def kind(self, image: int) -> Kind:
        """Of an image."""
        return self.description.kinds[self.kinds[image]]

    def name(self, image: int) -> str:
        """What errors call an image."""
        return f"{self.path} frame {image // self.planes + 1}"

    def show(self, images: Sequence[int], channels: int, placement: Placement, decode: Decode) -> NDArray[np.uint8]:
        """What a placement shows of images, plane by plane as in `decode_images`: uint8 (C, T, height, width)."""
        kinds = [self.kind(image) for image in images]
        for image, kind in zip(images, kinds, strict=True):
            if kind[:2] != kinds[0][:2]:
                raise ValueError(
                    f"{self.name(image)}: {kind.width}x{kind.height}, unlike the others; extract the video again"
                )
        view = placement(kinds[0].height, kinds[0].width)
        with spent("read"):
            loaded = self.load(images)
        jpegs, views, sizes = self.parts(images, loaded, view)
        names = [self.name(image) for image in images]
        try:
            if len(set(sizes)) == 1:  # cut alike, so that the view of one is that of all
                size = len(images) // self.planes
                planes = [jpegs[i : i + size] for i in range(0, len(images), size)]
                return decode_images(planes, channels, fixed(views[0]), decode, names)
            shown = [
                decode_images([[jpeg]], channels, fixed(own), decode, [name])
                for jpeg, own, name in zip(jpegs, views, names, strict=True)
            ]
        except ValueError as error:
            what = str(error).rpartition(";")[0]  # the cure is another one than for an image file
            raise ValueError(f"{what}; {CURE}") if what.startswith(str(self.path)) else error from None
        frames = np.concatenate(shown, 1).reshape(channels, self.planes, -1, *shown[0].shape[2:])
        return np.ascontiguousarray(frames.swapaxes(0, 1)).reshape(-1, *frames.shape[2:])

    def parts(
        self, images: Sequence[int], loaded: Loaded, view: View
    ) -> tuple[list[memoryview], list[View], list[Box]]:
        """Small JPEGs in which a view of the images can be seen, the view of each, and what was cut, in pixels."""
        jpegs = [memoryview(b"")] * len(images)
        views, sizes = [view] * len(images), [Box(0, 0, 0, 0)] * len(images)
        numbers = [self.kinds[image] for image in images]
        for number in sorted(set(numbers)):
            kind = self.description.kinds[number]
            which = [i for i, own in enumerate(numbers) if own == number]
            if not kind.header:
                for i in which:
                    jpegs[i] = loaded.image(i).data
                continue
            part = kind.window(view.box)
            window = Window(*kind.grid, part.left, part.top, part.width, part.height)
            try:
                cuts = cut(loaded.data, loaded.starts[which], loaded.sizes[which], window, kind.header_of(part))
            except DamagedImageError as error:
                image = images[which[error.args[0]]]
                raise ValueError(f"{self.name(image)}: damaged image; {CURE}") from None
            top, left = part.top * kind.unit[1], part.left * kind.unit[0]
            moved = view._replace(box=view.box._replace(top=view.box.top - top, left=view.box.left - left))
            size = Box(top, left, part.height * kind.unit[1], part.width * kind.unit[0])
            for i, jpeg in zip(which, cuts, strict=True):
                jpegs[i], views[i], sizes[i] = jpeg, moved, size
        return jpegs, views, sizes

    def jpeg(self, image: int) -> bytes:
        """A whole image as a JPEG: the original, or one with restart markers and the same coefficients."""
        kind = self.kind(image)
        box = Box(0, 0, kind.height, kind.width)
        return bytes(self.parts([image], self.load([image]), View(box, box[2:], box))[0][0])

    def grey(self, images: Sequence[int], decode: Decode) -> NDArray[np.uint8]:
        """Whole images in grey levels, uint8 (T, H, W)."""
        return self.show(images, 1, Placement(whole), decode)[0]

    @cached_property
    def originals(self) -> tuple[list[Original], dict[str, bytes]]:
        """What restores every image, and the other files of the video."""
        end = int(self.front + self.sizes.sum())
        try:
            return read_originals(self.bytes_at(end, self.size - end), self.original_crc, self.images)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}; {CURE}") from None


def fixed(view: View) -> Callable[[int, int], View]:
    """A placement that is drawn already."""
    return lambda _height, _width: view
