"""Packed clips: the images of one stream of one video in one file, of which only the part under a crop is decoded.

Baseline JPEGs are coded again without touching a coefficient: Huffman tables shared by the whole file, which make up
for a restart of the entropy code every few MCUs. A segment lies between two restarts. Other images are kept as they
are. All numbers are little-endian, but those of JPEG headers. A file `VIDEO.STREAM.clips` is:

    HEAD, 48 bytes
      0   8  magic: 89 "CLIPS" 0D 0A
      8   2  version: 1
     10   2  planes per frame: 1 for rgb, 2 for flow (x, y)
     12   4  images = frames x planes, frame 1 plane x, frame 1 plane y, frame 2 plane x, ...
     16   4  bytes of DESCRIPTION
     20   4  crc32 of ORIGINALS
     24   8  bytes of PAYLOADS
     32   8  bytes of ORIGINALS
     40   4  0
     44   4  crc32 of HEAD before this, DESCRIPTION and INDEX
    DESCRIPTION, JSON: {"stream": name, "rate": frames per second or null, "kinds": [kind, ...]}, a kind being
        {"width", "height": of the image in pixels,
         "header": a JPEG up to its entropy code in base64, "" for images that are kept as they are,
         "size_at": where in it height and width are, to be replaced by those of the part that is cut,
         "unit": [width, height] of a segment in pixels, "grid": segments [across, down],
         "margin": pixels beside a part that its colours depend on}
    INDEX, 10 bytes per image
      0   4  bytes of its payload
      4   4  crc32 of the original file
      8   2  its kind
    PAYLOADS, one after the other: a file as it was, or the bytes of each segment in LEB128 and then the segments,
        row by row, without restart markers
    ORIGINALS, zlib: for each image its path below the root of the unpacked tree, its bytes before and after the entropy
        code; then path and content of every other file of the video. Each is uint32 size and bytes.
"""

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..views import Box

MAGIC, VERSION = b"\x89CLIPS\r\n", 1
HEAD = struct.Struct("<8sHHIIIQQI")
CRC = struct.Struct("<I")
INDEX = np.dtype([("size", "<u4"), ("original", "<u4"), ("kind", "<u2")])
SUFFIX = ".clips"
RECORD = "pack.json"  # at the root: how the videos lay, and how they were packed
MOST_SEGMENTS = 1 << 22  # of an image


class Kind(NamedTuple):
    """What some images of a file have in common, see above."""

    width: int
    height: int
    header: bytes = b""
    size_at: int = 0
    unit: tuple[int, int] = (0, 0)
    grid: tuple[int, int] = (0, 0)
    margin: int = 0

    def window(self, box: Box) -> Box:
        """The part of the grid of segments that pixels of `box` depend on."""
        top, bottom = self.span(box.top, box.height, 1)
        left, right = self.span(box.left, box.width, 0)
        return Box(top, left, bottom - top, right - left)

    def span(self, start: int, length: int, axis: int) -> tuple[int, int]:
        """First segment along an axis, and the one after the last."""
        first = max(start - self.margin, 0) // self.unit[axis]
        return first, min(-(-(start + length + self.margin) // self.unit[axis]), self.grid[axis])

    def header_of(self, part: Box) -> bytes:
        """The header of a part of the grid.

        A part at the right edge ends with the image, so that its colours are made from the same pixels. Grey images may
        have MCUs beyond it, which fill up the last segment of a row.
        """
        width, height = part.width * self.unit[0], part.height * self.unit[1]
        if self.margin:
            width = min(width, self.width - part.left * self.unit[0])
        height = min(height, self.height - part.top * self.unit[1])
        return self.header[: self.size_at] + struct.pack(">HH", height, width) + self.header[self.size_at + 4 :]

    def as_json(self) -> dict[str, Any]:
        """As it stands in the description."""
        return self._asdict() | {"header": base64.b64encode(self.header).decode()}


class Original(NamedTuple):
    """What restores an image: its path below the root, and its bytes before and after the entropy code."""

    path: str
    head: bytes = b""
    tail: bytes = b""


class Description(NamedTuple):
    """The front of a file, up to the payloads."""

    stream: str
    planes: int
    rate: float | None
    kinds: tuple[Kind, ...]
    table: NDArray[np.void]  # INDEX


def read_kind(record: Mapping[str, Any]) -> Kind:
    """A kind of a description.

    Raises:
        ValueError: If it makes no sense; also LookupError and TypeError.
    """
    (*unit,), (*grid,) = map(int, record["unit"]), map(int, record["grid"])
    header = base64.b64decode(record["header"], validate=True)
    sizes = (unit[0], unit[1]), (grid[0], grid[1])
    kind = Kind(record["width"], record["height"], header, record["size_at"], *sizes, record["margin"])
    if header:
        covered = all(
            min(side, cells) > 0 and side * (cells - 1) < total <= side * cells
            for side, cells, total in zip(unit, grid, (kind.width, kind.height), strict=True)
        )
        if not covered or grid[0] * grid[1] > MOST_SEGMENTS or not 0 < kind.size_at <= len(header) - 4:
            raise ValueError("segments do not cover the image")
    return kind


def read_front(data: bytes) -> tuple[int, int]:
    """Bytes of the front by a `HEAD` and its crc, and of the whole file.

    Raises:
        ValueError: If this is no file of packed clips.
    """
    if len(data) < HEAD.size + CRC.size or data[: len(MAGIC)] != MAGIC:
        raise ValueError("holds no packed clips")
    _, version, _, images, described, _, payloads, originals, _ = HEAD.unpack_from(data)
    if version != VERSION:
        raise ValueError(f"is of version {version}, but this program reads version {VERSION}")
    front = HEAD.size + CRC.size + described + images * INDEX.itemsize
    return front, front + payloads + originals


def read_description(data: bytes) -> Description:
    """The front of a file.

    Raises:
        ValueError: If it is damaged.
    """
    _, _, planes, images, described, _, payloads, _, _ = HEAD.unpack_from(data)
    (crc,) = CRC.unpack_from(data, HEAD.size)
    start = HEAD.size + CRC.size
    if zlib.crc32(data[start:], zlib.crc32(data[: HEAD.size])) != crc:
        raise ValueError("is damaged")
    index = np.frombuffer(data, INDEX, images, start + described)
    try:
        record = json.loads(data[start : start + described])
        kinds = tuple(read_kind(kind) for kind in record["kinds"])
        description = Description(record["stream"], planes, record["rate"], kinds, index)
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"has no description that makes sense ({error})") from error
    if not planes or images % planes or (index["kind"] >= len(kinds)).any() or index["size"].sum() != payloads:
        raise ValueError("has an index that makes no sense")
    return description


def write_front(description: Description, originals: bytes) -> bytes:
    """The front of a file, its index filled in."""
    record = {
        "stream": description.stream,
        "rate": description.rate,
        "kinds": [kind.as_json() for kind in description.kinds],
    }
    text, index = json.dumps(record, allow_nan=False).encode(), description.table
    payloads = int(index["size"].sum(dtype=np.uint64))
    numbers = (description.planes, len(index), len(text), zlib.crc32(originals), payloads, len(originals), 0)
    head, rest = HEAD.pack(MAGIC, VERSION, *numbers), text + index.tobytes()
    return head + CRC.pack(zlib.crc32(rest, zlib.crc32(head))) + rest


def write_originals(originals: Iterable[Original], others: Mapping[str, bytes]) -> bytes:
    """The last part of a file."""
    parts = [part for path, head, tail in originals for part in (path_bytes(path), head, tail)]
    parts += [part for path, content in others.items() for part in (path_bytes(path), content)]
    return zlib.compress(b"".join(CRC.pack(len(part)) + part for part in parts), 9)


def read_originals(data: bytes, crc: int, images: int) -> tuple[list[Original], dict[str, bytes]]:
    """What restores every image, and the other files of the video.

    Raises:
        ValueError: If it is damaged.
    """
    if zlib.crc32(data) != crc:
        raise ValueError("is damaged")
    parts: list[bytes] = []
    at = 0
    try:
        content = zlib.decompress(data)
        while at < len(content):
            (size,) = CRC.unpack_from(content, at)
            parts.append(content[at + 4 : at + 4 + size])
            at += 4 + size
        rest = iter(parts)
        originals = [Original(path_text(next(rest)), next(rest), next(rest)) for _ in range(images)]
        others = {path_text(path): next(rest) for path in rest}
    except (struct.error, StopIteration, zlib.error) as error:
        raise ValueError("is damaged") from error
    return originals, others


def path_bytes(path: str) -> bytes:
    """A path below a root, as file systems have it."""
    return path.encode("utf-8", "surrogateescape")


def path_text(data: bytes) -> str:
    """The path of `path_bytes`."""
    return data.decode("utf-8", "surrogateescape")
