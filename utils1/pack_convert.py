"""One stream of a video to a file of packed clips."""

import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from datasets.jpeg.jpeg_scan import read_header, read_size
from datasets.jpeg.restart import Coding, count_symbols, cut, transcode
from datasets.jpeg.segments import Window, write_lengths
from datasets.stores.pack_format import INDEX, Description, Kind, Original, write_front, write_originals
from datasets.views import Box
from sts_common.files import write_atomically

from .pack_groups import Group, Key, choose_interval, group_key


class Images(NamedTuple):
    """What becomes a file.

    Attributes:
        stream: Its name.
        planes: Per frame.
        paths: Frame by frame, plane by plane.
        root: What paths in the file begin at.
        rate: Frames per second, if known.
        others: Further files of the video, by their path below the root.
    """

    stream: str
    planes: int
    paths: Sequence[Path]
    root: Path
    rate: float | None
    others: Mapping[str, bytes]


def pack(images: Images, target: Path, restart: str) -> None:
    """Write a file of packed clips, which is whole or not there.

    Args:
        images: What it is made of.
        target: The file.
        restart: One of `RESTARTS`, or the most MCUs of a segment.

    Raises:
        ValueError: If an image is no JPEG.
    """
    groups = find_groups(images, restart)
    packer = Packer(images, groups)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=target.parent) as payloads:  # the index comes first, but is known last
        for number in range(len(images.paths)):
            payloads.write(packer.payload(number))
        payloads.seek(0)
        write_atomically(target, lambda file: packer.finish(file, payloads))


def find_groups(images: Images, restart: str) -> dict[Key, Group]:
    """Groups of images, their symbols counted."""
    groups: dict[Key, Group] = {}
    intervals: dict[bytes, int] = {}  # the same for all planes, which are then cut alike
    for number, path in enumerate(images.paths):
        data = path.read_bytes()
        try:
            header = read_header(data)
            key = group_key(number % images.planes, header)
            interval = intervals.setdefault(key[1], choose_interval(header, len(data) - header.size, restart))
            group = groups.get(key) or Group(header, interval)
            group.counts += count_symbols(header, data, group.coding({}))
            groups[key] = group
        except ValueError:  # kept as it is, if it is an image at all
            check_image(path, data)
    return groups


def check_image(path: Path, data: bytes) -> tuple[int, int]:
    """Width and height of an image that is kept as it is.

    Raises:
        ValueError: If it is no JPEG.
    """
    try:
        return read_size(data)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; extract the video again") from None


class Packer:
    """Codes images.

    Args:
        images: All of them.
        groups: What was found in them.
    """

    def __init__(self, images: Images, groups: Mapping[Key, Group]) -> None:
        self.images, self.groups = images, groups
        self.tables = {key: group.tables() for key, group in groups.items()}
        self.kinds = [group.kind(self.tables[key]) for key, group in groups.items()]
        self.numbers = {key: number for number, key in enumerate(groups)}
        self.index = np.zeros(len(images.paths), INDEX)
        self.originals: list[Original] = []

    def payload(self, number: int) -> bytes:
        """What is stored of an image; its place in the index is filled in."""
        path = self.images.paths[number]
        data = path.read_bytes()
        name = path.relative_to(self.images.root).as_posix()
        kind, payload, original = self.coded(number % self.images.planes, data, name) or self.kept(path, data, name)
        self.index[number] = (len(payload), zlib.crc32(data), kind)
        self.originals.append(original)
        return payload

    def coded(self, plane: int, data: bytes, name: str) -> tuple[int, bytes, Original] | None:
        """Kind, payload and what restores an image; None if its bytes could not be restored."""
        try:
            header = read_header(data)
            key = group_key(plane, header)
            new = self.groups[key].coding(self.tables[key])
            code, lengths, end = transcode(header, data, Coding.of(header), new, markers=False)
        except (ValueError, KeyError):
            return None
        payload = write_lengths(lengths.tolist()) + code
        original = Original(name, data[: header.size], data[end:])
        kind = self.kinds[self.numbers[key]]
        if restore(whole_jpeg(payload, kind), original) != data:
            return None
        return self.numbers[key], payload, original

    def kept(self, path: Path, data: bytes, name: str) -> tuple[int, bytes, Original]:
        """The same of an image that is kept as it is."""
        kind = Kind(*check_image(path, data))
        if kind not in self.kinds:
            self.kinds.append(kind)
        return self.kinds.index(kind), data, Original(name)

    def finish(self, file: BinaryIO, payloads: BinaryIO) -> None:
        """Write it all."""
        originals = write_originals(self.originals, self.images.others)
        images = self.images
        front = Description(images.stream, images.planes, images.rate, tuple(self.kinds), self.index)
        file.write(write_front(front, originals))
        shutil.copyfileobj(payloads, file)
        file.write(originals)


def whole_jpeg(payload: bytes, kind: Kind) -> bytes:
    """A packed image as a JPEG with restart markers."""
    across, down = kind.grid
    part = Box(0, 0, down, across)
    data = np.frombuffer(payload, np.uint8)
    starts, sizes = np.zeros(1, np.uint64), np.array([data.size], np.uint64)
    return bytes(cut(data, starts, sizes, Window(across, down, 0, 0, across, down), kind.header_of(part))[0])


def restore(jpeg: bytes, original: Original) -> bytes:
    """The file that a whole packed image was.

    Raises:
        ValueError: If it is damaged.
    """
    if not original.head:
        return jpeg
    packed, old = read_header(jpeg), read_header(original.head)
    code, _, _ = transcode(packed, jpeg, Coding.of(packed), Coding.of(old), markers=True)
    return original.head + code + original.tail


def interleaved(planes: Sequence[Sequence[Path]]) -> Iterator[Path]:
    """Paths by plane as paths by frame."""
    for frame in zip(*planes, strict=True):
        yield from frame
