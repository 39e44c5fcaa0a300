"""ctypes records of clip.h: views, images in memory, failures."""

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

NO_MEMORY, MISSING, UNREADABLE, DAMAGED, OTHER_SIZE, FOREIGN = 2, 3, 4, 5, 6, 7  # codes of clip.h
BOX = ("box_top", "box_left", "box_height", "box_width")
FIELDS = (*BOX, "height", "width", "top", "left", "rows", "columns", "flip", "fast", "isa")


class ViewRecord(ctypes.Structure):
    """`clip_view` of clip.h."""

    _fields_ = tuple((name, ctypes.c_int32) for name in FIELDS)


class FailureRecord(ctypes.Structure):
    """`clip_failure` of clip.h."""

    _fields_ = (("index", ctypes.c_int64), ("code", ctypes.c_int32), ("reason", ctypes.c_char * 188))


class ImageError(Exception):
    """Failure to decode an image of a call, by its index, code (of clip.h) and reason; for `OTHER_SIZE` the size."""

    def __init__(self, index: int, code: int, reason: str) -> None:
        super().__init__(reason)
        self.index, self.code, self.reason = index, code, reason


class Images(NamedTuple):
    """Images in memory, for one call."""

    data: int  # address of their addresses
    sizes: int  # address of their sizes in bytes, int64
    number: int
    owner: Any  # object that keeps the memory

    def part(self, first: int, number: int) -> "Images":
        return Images(self.data + 8 * first, self.sizes + 8 * first, number, self.owner)


def in_memory(blobs: Sequence[Any]) -> Images:
    """Wrap bytes-like objects as images."""
    arrays = [np.frombuffer(blob, np.uint8) for blob in blobs]
    data = np.array([array.__array_interface__["data"][0] for array in arrays], np.uintp)
    sizes = np.array([array.size for array in arrays], np.int64)
    return Images(data.ctypes.data, sizes.ctypes.data, len(arrays), (arrays, data, sizes))


def check(code: int, failure: FailureRecord) -> None:
    """Raise `ImageError` for an image that cannot be decoded, MemoryError where memory is short; the rest are bugs."""
    if code == NO_MEMORY:
        raise MemoryError(failure.reason.decode())
    if code >= MISSING:
        raise ImageError(failure.index, code, failure.reason.decode(errors="replace"))
    assert code == 0, failure.reason
