"""What the header of a baseline JPEG says about its entropy code (ITU-T T.81, annex B)."""

import struct
from typing import NamedTuple

from .huffman import LONGEST, Table

SOI, EOI, SOS, DQT, DHT, DRI = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
BASELINE = (0xC0, 0xC1)  # Huffman codes, all coefficients in one scan
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
JFIF, ADOBE = 0xE0, 0xEE  # say what the colours are; the other APPn are of no use to a decoder


class Component(NamedTuple):
    """A component: its number, sampling factors, and its tables in the scan."""

    number: int
    across: int
    down: int
    dc: int
    ac: int


class Header(NamedTuple):
    """A JPEG up to its entropy code.

    Attributes:
        width: Pixels.
        height: Pixels.
        components: In the order of the scan.
        tables: Huffman tables by number, DC 0-3 and AC 4-7.
        interval: MCUs between restart markers, 0 for none.
        segments: (marker, content) of all segments in order, SOS last.
        size: Bytes, after which the entropy code begins.
    """

    width: int
    height: int
    components: tuple[Component, ...]
    tables: dict[int, Table]
    interval: int
    segments: tuple[tuple[int, bytes], ...]
    size: int

    @property
    def unit(self) -> tuple[int, int]:
        """Width and height of an MCU in pixels."""
        if len(self.components) == 1:  # a scan of one component is not interleaved, whatever its factors
            return 8, 8
        return 8 * max(part.across for part in self.components), 8 * max(part.down for part in self.components)

    @property
    def grid(self) -> tuple[int, int]:
        """MCUs across and down."""
        return -(-self.width // self.unit[0]), -(-self.height // self.unit[1])


def read_size(data: bytes) -> tuple[int, int]:
    """Width and height that the header of any JPEG states.

    Raises:
        ValueError: If this is no JPEG.
    """
    for marker, content in list_segments(data)[0]:
        if marker in FRAMES and len(content) >= 5:
            height, width = struct.unpack_from(">HH", content, 1)
            return width, height
    raise ValueError("no JPEG")


def list_segments(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Segments up to the first scan, and where they end.

    Raises:
        ValueError: If this is no JPEG.
    """
    segments: list[tuple[int, bytes]] = []
    at = 2
    while data[:2] == b"\xff\xd8" and len(data) >= at + 4 and data[at] == 0xFF:
        marker, length = struct.unpack_from(">xBH", data, at)
        if length < 2 or at + 2 + length > len(data) or marker in (EOI, SOI):
            break
        segments.append((marker, data[at + 4 : at + 2 + length]))
        at += 2 + length
        if marker == SOS:
            return segments, at
    raise ValueError("no JPEG, or cut short")


def read_header(data: bytes) -> Header:
    """The header of a baseline JPEG.

    Raises:
        ValueError: If this is none, or one of several scans.
    """
    segments, size = list_segments(data)
    tables: dict[int, Table] = {}
    interval = 0
    frame = b""
    try:
        for marker, content in segments:
            if marker == DHT:
                tables |= read_tables(content)
            elif marker == DRI:
                (interval,) = struct.unpack(">H", content)
            elif marker in FRAMES:
                frame = content if marker in BASELINE and not frame else b""
        precision, height, width, count = struct.unpack_from(">BHHB", frame)
        components = read_components(frame[6 : 6 + 3 * count], segments[-1][1], count)
    except (struct.error, IndexError) as error:
        raise ValueError("no baseline JPEG") from error
    header = Header(width, height, components, tables, interval, tuple(segments), size)
    if precision != 8 or 0 in (width, height) or not is_plain(header):
        raise ValueError("no baseline JPEG of one scan")
    return header


def is_plain(header: Header) -> bool:
    """Whether the components are of a kind that MCUs are made of, and their tables are there."""
    parts = header.components
    blocks = sum(part.across * part.down for part in parts)
    factors = all(1 <= part.across <= 4 and 1 <= part.down <= 4 for part in parts)
    tables = all(part.dc in header.tables and part.ac + 4 in header.tables for part in parts)
    return len(parts) in (1, 3) and factors and tables and (blocks <= 10 or len(parts) == 1)


def read_components(frame: bytes, scan: bytes, count: int) -> tuple[Component, ...]:
    """Components of a frame in the order of its only scan, () if it does not have all of them in that order."""
    numbers = [frame[3 * i] for i in range(count)]
    if scan[0] != count or [scan[1 + 2 * i] for i in range(count)] != numbers or len(set(numbers)) < count:
        return ()
    if scan[1 + 2 * count :] != b"\x00\x3f\x00":  # all coefficients, all their bits
        return ()
    factors = [divmod(frame[3 * i + 1], 16) for i in range(count)]
    tables = [divmod(scan[2 + 2 * i], 16) for i in range(count)]
    return tuple(Component(n, *factor, *pair) for n, factor, pair in zip(numbers, factors, tables, strict=True))


def read_tables(content: bytes) -> dict[int, Table]:
    """Huffman tables of a DHT segment."""
    tables: dict[int, Table] = {}
    at = 0
    while at < len(content):
        kind, number = divmod(content[at], 16)
        lengths = content[at + 1 : at + 1 + LONGEST]
        values = content[at + 1 + LONGEST : at + 1 + LONGEST + sum(lengths)]
        if kind > 1 or number > 3 or len(values) < sum(lengths) or sum(lengths) > 256:
            raise ValueError("damaged Huffman table")
        tables[4 * kind + number] = Table(lengths, values)
        at += 1 + LONGEST + sum(lengths)
    return tables


def write_segment(marker: int, content: bytes) -> bytes:
    """A segment as it is in a file."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def write_header(header: Header, interval: int, tables: dict[int, Table]) -> tuple[bytes, int]:
    """The header with other tables and restart interval, without comments and metadata.

    Returns:
        The bytes up to the entropy code, and where in them height and width are, as two big-endian uint16.
    """
    parts, size_at = [b"\xff\xd8"], 0
    for marker, content in header.segments[:-1]:
        if marker in FRAMES:
            size_at = sum(map(len, parts)) + 5
        if marker in (DQT, JFIF, ADOBE) or marker in FRAMES:
            parts.append(write_segment(marker, content))
    for number, table in sorted(tables.items()):
        parts.append(write_segment(DHT, bytes([16 * (number // 4) + number % 4]) + table.lengths + table.values))
    if interval:
        parts.append(write_segment(DRI, struct.pack(">H", interval)))
    parts.append(write_segment(*header.segments[-1]))
    return b"".join(parts), size_at
