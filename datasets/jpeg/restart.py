"""Entropy code of baseline JPEGs, by the library in restart.cpp: coded again, and cut to the part that is looked at."""

import ctypes
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sts_native import BuildError

from .build import CODER
from .huffman import TABLES, Table
from .jpeg_scan import Header
from .segments import DamagedImageError, Window, join

OK, NO_ROOM = 0, 4
MOST_BLOCKS = 10  # of an MCU


class Scan(ctypes.Structure):
    """`restart_scan` of restart.h."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("columns", "rows", "interval", "blocks")),
        *((name, ctypes.c_int32 * MOST_BLOCKS) for name in ("component", "dc", "ac")),
        ("lengths", (ctypes.c_uint8 * 16) * TABLES),
        ("values", (ctypes.c_uint8 * 256) * TABLES),
    )


class Result(ctypes.Structure):
    """`restart_result` of restart.h."""

    _fields_ = (
        ("counts", ctypes.c_void_p),
        ("out", ctypes.c_void_p),
        ("capacity", ctypes.c_size_t),
        ("lengths", ctypes.c_void_p),
        ("markers", ctypes.c_int32),
        ("consumed", ctypes.c_size_t),
        ("written", ctypes.c_size_t),
    )


class Coding(NamedTuple):
    """How the entropy code of an image is laid out.

    Attributes:
        columns: MCUs across, those that only fill up the last restart interval included.
        interval: MCUs between restarts, 0 for none.
        tables: Huffman tables by number; may be empty where symbols are only counted.
    """

    columns: int
    interval: int
    tables: dict[int, Table]

    @staticmethod
    def of(header: Header) -> "Coding":
        """As the header of a JPEG says."""
        return Coding(header.grid[0], header.interval, header.tables)


def make_scan(header: Header, coding: Coding) -> Scan:
    """`restart_scan` of an image: its components, coded in some way."""
    scan = Scan(coding.columns, header.grid[1], coding.interval)
    for number, part in enumerate(header.components):
        for _ in range(part.across * part.down if len(header.components) > 1 else 1):
            block = scan.blocks
            scan.component[block], scan.dc[block], scan.ac[block] = number, part.dc, 4 + part.ac
            scan.blocks = block + 1
    for number, table in coding.tables.items():
        scan.lengths[number][:] = tuple(table.lengths)
        scan.values[number][: len(table.values)] = tuple(table.values)
    return scan


def count_symbols(header: Header, data: bytes, coding: Coding) -> NDArray[np.uint64]:
    """Uses of every Huffman symbol, (tables, 256), if the JPEG `data` were coded so.

    Raises:
        ValueError: If its entropy code is damaged.
    """
    counts = np.zeros((TABLES, 256), np.uint64)
    run(header, data, Coding.of(header), coding, Result(counts=counts.ctypes.data))
    return counts


def transcode(
    header: Header, data: bytes, old: Coding, new: Coding, *, markers: bool
) -> tuple[bytes, NDArray[np.uint32], int]:
    """Code a JPEG again; no coefficient changes.

    Args:
        header: Its header.
        data: The file.
        old: How it is coded.
        new: How it shall be.
        markers: Whether restart markers are written.

    Returns:
        The new entropy code, the bytes of each of its restart intervals, and where the old one ends in `data`.

    Raises:
        ValueError: If the entropy code is damaged, or has symbols that the new tables lack.
    """
    units = max(old.columns, new.columns) * header.grid[1]
    lengths = np.zeros(-(-new.columns * header.grid[1] // new.interval) if new.interval else 1, np.uint32)
    capacity = 4 * len(data) + 16 * units + 4 * len(lengths)
    while True:
        out = np.empty(capacity, np.uint8)
        result = Result(out=out.ctypes.data, capacity=capacity, lengths=lengths.ctypes.data, markers=int(markers))
        if run(header, data, old, new, result) == OK:
            return out[: result.written].tobytes(), lengths, header.size + result.consumed
        capacity *= 4


def run(header: Header, data: bytes, old: Coding, new: Coding, result: Result) -> int:
    """Call `restart_transcode`; `OK` or `NO_ROOM`."""
    code = np.frombuffer(data, np.uint8)[header.size :]
    from_, to = make_scan(header, old), make_scan(header, new)
    status = load().restart_transcode(
        ctypes.byref(from_), ctypes.c_void_p(code.ctypes.data), len(code), ctypes.byref(to), ctypes.byref(result)
    )
    if status not in (OK, NO_ROOM):
        raise ValueError("damaged entropy code, or none that can be coded again")
    return status


def cut(
    data: NDArray[np.uint8], starts: NDArray[np.uint64], sizes: NDArray[np.uint64], window: Window, header: bytes
) -> list[memoryview]:
    """JPEGs of a part of some images.

    Args:
        data: Bytes with the images in them.
        starts: Where each begins: lengths of its segments, then the segments.
        sizes: Bytes of each.
        window: The part.
        header: Up to the entropy code, with the size of the part.

    Raises:
        DamagedImageError: If one is not what its lengths say.
    """
    if missing():
        return [
            join(data[start : start + size].tobytes(), window, header, index)
            for index, (start, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True))
        ]
    room = int(sizes.sum()) + len(sizes) * (len(header) + 2 * window.width * window.height + 4)
    out, ends = np.empty(room, np.uint8), np.empty(len(sizes), np.uint64)
    status = load().restart_cut(
        ctypes.c_void_p(data.ctypes.data),
        data.size,
        ctypes.c_void_p(starts.ctypes.data),
        ctypes.c_void_p(sizes.ctypes.data),
        len(sizes),
        ctypes.byref(window),
        header,
        len(header),
        ctypes.c_void_p(out.ctypes.data),
        room,
        ctypes.c_void_p(ends.ctypes.data),
    )
    if status:
        raise DamagedImageError(int(ends[0]))
    view = out.data
    return [view[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]


@cache
def missing() -> str:
    """Why there is no library on this machine and how to get it; "" if there is."""
    try:
        load()
    except BuildError as error:
        return str(error)
    return ""


@cache
def load() -> Any:
    """The library, compiled at the first use.

    Raises:
        BuildError: If it cannot be had.
    """
    library = CODER.load(CODER.path())
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    window = (pointer, ctypes.c_char_p, size, pointer, size, pointer)
    library.restart_transcode.argtypes = [pointer, pointer, size, pointer, pointer]
    library.restart_cut.argtypes = [pointer, size, pointer, pointer, ctypes.c_int32, *window]
    return library
