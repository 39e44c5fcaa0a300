"""Checks of image files by their first and last bytes, which takes a thousandth of decoding them."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from datasets.decoding import pixels

HEAD = 2048  # bytes in which the size of an image usually stands
LONG_HEAD = 1 << 20  # and those in which it must: cameras put pictures before it
TAIL = 1024  # bytes in which a JPEG must end
START, END = b"\xff\xd8", b"\xff\xd9"
NO_SIZE = (0, 0)


class Fault(NamedTuple):
    """A fault of an image file: a key of `findings.KINDS`, and its description."""

    kind: str
    text: str


def check_image(path: Path) -> tuple[Fault | None, tuple[int, int]]:
    """Return the fault of an image file, and its width and height.

    Of JPEG files only the ends are read: damage in the middle is not noticed. Others are decoded.
    A file that is not there, or no file, is a fault, too.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for a writer
        try:
            state = os.fstat(file)
            if not stat.S_ISREG(state.st_mode):
                return Fault("undecodable", "is not a file"), NO_SIZE
            fault, size = check_content_of(file, state.st_size)
        finally:
            os.close(file)
    except FileNotFoundError:
        return Fault("missing", "a symbolic link to nothing" if path.is_symlink() else "missing"), NO_SIZE
    except OSError as error:  # such as a bad sector of the disk
        return Fault("undecodable", error.strerror or str(error)), NO_SIZE
    return (fault, size) if fault or size != NO_SIZE else decode_image(path)


def decode_image(path: Path) -> tuple[Fault | None, tuple[int, int]]:
    """Do the same as `check_image` by decoding a format that has no end marker."""
    try:
        height, width = pixels.read_image(path, 3).shape[:2]
    except (OSError, ValueError) as error:
        return Fault("undecodable", str(error).removeprefix(f"{path}: ")), NO_SIZE
    return None, (width, height)


def check_content_of(file: int, length: int) -> tuple[Fault | None, tuple[int, int]]:
    """Do the same as `check_image` for an open file; no fault and no size if it is another format."""
    if length == 0:
        return Fault("empty", "empty"), NO_SIZE
    head = os.pread(file, HEAD, 0)
    if not head.startswith(START):
        return None, NO_SIZE
    size = jpeg_size(head) or (jpeg_size(os.pread(file, LONG_HEAD, 0)) if length > HEAD else None)
    if END not in os.pread(file, TAIL, max(0, length - TAIL)):
        return Fault("truncated", "ends in the middle of the image"), size or NO_SIZE
    if size is None or 0 in size:
        return Fault("undecodable", "its header is damaged"), NO_SIZE
    if max(size) > (most := pixels.MOST_PIXELS):
        return Fault("undecodable", f"{size[0]}x{size[1]}, more than {most}x{most}"), size
    return None, size


def jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Return the width and height that the beginning of a JPEG file states, None if it does not."""
    try:
        segments = pixels.segments(memoryview(head), "")
        begin = next(begin for marker, begin, _ in segments if marker in pixels.FRAME_MARKERS)
    except (ValueError, StopIteration):
        return None
    return pixels.stated_size(head, begin) if begin + 5 <= len(head) else None
