"""Segments of a packed image between two restarts of its entropy code, by their lengths."""

import ctypes
from collections.abc import Sequence

import numpy as np


class DamagedImageError(ValueError):
    """An image whose segments are not what their lengths say; the argument is its index."""


class Window(ctypes.Structure):
    """`restart_window` of restart.h: a part of a grid of segments."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("across", "down", "left", "top", "width", "height"))


def join(data: bytes, window: Window, header: bytes, index: int) -> memoryview:
    """`cut` of one image without the library."""
    lengths, at = read_lengths(data, window.across * window.down)
    if at < 0 or at + sum(lengths) != len(data):
        raise DamagedImageError(index)
    ends = (at + np.cumsum([0, *lengths])).tolist()
    segments = [
        data[ends[i] : ends[i + 1]]
        for row in range(window.top, window.top + window.height)
        for i in range(row * window.across + window.left, row * window.across + window.left + window.width)
    ]
    markers = [bytes((0xFF, 0xD0 + i % 8)) for i in range(len(segments) - 1)]
    pieces = [piece for pair in zip(segments, [*markers, b"\xff\xd9"], strict=True) for piece in pair]
    return memoryview(b"".join([header, *pieces]))


def read_lengths(data: bytes, count: int) -> tuple[list[int], int]:
    """`count` numbers in LEB128 and where they end, -1 if they do not."""
    lengths: list[int] = []
    at = value = shift = 0
    while len(lengths) < count:
        if at >= len(data) or shift > 28:
            return lengths, -1
        value |= (data[at] & 0x7F) << shift
        shift += 7
        if data[at] < 0x80:
            lengths.append(value)
            value = shift = 0
        at += 1
    return lengths, at


def write_lengths(lengths: Sequence[int]) -> bytes:
    """Numbers in LEB128: seven bits in each byte, the lowest first, 128 added to all bytes but the last."""
    data = bytearray()
    for length in lengths:
        while length >= 0x80:
            data.append(length & 0x7F | 0x80)
            length >>= 7
        data.append(length)
    return bytes(data)
