"""Packed clips: the images of one stream of one video in one file, each as it was, and what else lay beside them.

All numbers are little-endian. A file `VIDEO.STREAM.clips` is:

    HEAD, 28 bytes
      0   8  magic: 89 "CLIPS" 0D 0A
      8   2  version: 2
     10   2  planes per frame: 1 for rgb, 2 for flow (x, y)
     12   4  images = frames x planes: frame 1 plane x, frame 1 plane y, frame 2 plane x, ...
     16   4  files: the images, then all others
     20   4  bytes of TEXT
     24   4  crc32 of HEAD before this, INDEX and TEXT
    INDEX, 12 bytes per file; a file begins where the one before it ends
      0   8  its bytes
      8   4  its crc32
    TEXT, JSON compressed by zlib: {"rate": frames per second or null,
        "names": [path of each file below the root of the tree that was packed, ...]}
    FILES, one after the other

Version 1 coded the images again, with restart markers.
"""

import json
import struct
import zlib
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION = b"\x89CLIPS\r\n", 2
HEAD = struct.Struct("<8sHHIII")
CRC = struct.Struct("<I")
INDEX = np.dtype([("size", "<u8"), ("crc", "<u4")])
SUFFIX = ".clips"
RECORD = "pack.json"  # at the root: how the videos lay, and how they were packed


class Description(NamedTuple):
    """Content of a file of packed clips."""

    planes: int  # per frame
    images: int  # frames times planes
    rate: float | None  # frames per second, if known
    names: list[str]  # paths of all files below the root of their tree, images first


class PackIndex(NamedTuple):
    """HEAD, INDEX and TEXT of a file."""

    planes: int
    images: int
    table: NDArray[np.void]  # INDEX
    text: bytes

    @property
    def description(self) -> Description:
        """The description of the content; raises ValueError if the text makes no sense."""
        try:
            record = json.loads(zlib.decompress(self.text))
            names = [str(name) for name in record["names"]]
            rate = None if record["rate"] is None else float(record["rate"])
        except (LookupError, TypeError, ValueError, zlib.error) as error:
            raise ValueError(f"has no description that makes sense ({error})") from error
        if len(names) != len(self.table):
            raise ValueError("has another number of names than of files")
        return Description(self.planes, self.images, rate, names)


def front_size(head: bytes) -> int:
    """Compute the bytes of the front of a file from its first `HEAD.size + CRC.size` bytes.

    Raises ValueError if this is no file of packed clips, or one of another version.
    """
    if len(head) < HEAD.size + CRC.size or not head.startswith(MAGIC):
        raise ValueError("holds no packed clips")
    _, version, _, _, files, text = HEAD.unpack_from(head)
    if version != VERSION:
        raise ValueError(f"is of version {version}, but this program reads version {VERSION}")
    return int(HEAD.size + CRC.size + files * INDEX.itemsize + text)


def read_front(data: bytes) -> PackIndex:
    """Parse the whole front of a file; raises ValueError if it is damaged."""
    _, _, planes, images, files, _ = HEAD.unpack_from(data)
    (crc,) = CRC.unpack_from(data, HEAD.size)
    start = HEAD.size + CRC.size
    if crc != front_crc(data[: HEAD.size], data[start:]) or not planes or images % planes or images > files:
        raise ValueError("is damaged")
    return PackIndex(planes, images, np.frombuffer(data, INDEX, files, start), data[start + files * INDEX.itemsize :])


def write_pack(file: BinaryIO, description: Description, contents: Iterable[bytes]) -> None:
    """Write the contents of files, in the order of their names, to an empty, seekable file of packed clips."""
    record = {"rate": description.rate, "names": description.names}
    text = zlib.compress(json.dumps(record, allow_nan=False).encode(), 9)
    index = np.zeros(len(description.names), INDEX)
    file.seek(HEAD.size + CRC.size + index.nbytes + len(text))
    for number, content in enumerate(contents):
        index[number] = len(content), zlib.crc32(content)
        file.write(content)
    head = HEAD.pack(MAGIC, VERSION, description.planes, description.images, len(index), len(text))
    body = index.tobytes() + text
    file.seek(0)
    file.write(head + CRC.pack(front_crc(head, body)) + body)


def front_crc(head: bytes, body: bytes) -> int:
    """Compute the checksum of a head and of what follows its checksum."""
    return zlib.crc32(body, zlib.crc32(head))
