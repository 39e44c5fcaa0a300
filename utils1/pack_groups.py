"""Images of a file that are coded alike: with the same header, Huffman tables and segments."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datasets.jpeg.huffman import TABLES, Table, best_table
from datasets.jpeg.jpeg_scan import Header, write_header
from datasets.jpeg.restart import Coding
from datasets.stores.pack_format import Kind

RESTARTS = ("auto", "row", "none")  # or a number of MCUs
LEAST = 40  # bytes of a segment in the mean, for "auto": shorter ones cost more disk than they save time
Key = tuple[int, bytes]  # plane, and the header without what packing changes


@dataclass
class Group:
    """Images of a file that are coded alike.

    Attributes:
        header: Of the first of them.
        interval: MCUs of a segment, 0 for the whole image.
        counts: Uses of every Huffman symbol.
    """

    header: Header
    interval: int
    counts: NDArray[np.uint64] = field(default_factory=lambda: np.zeros((TABLES, 256), np.uint64))

    @property
    def columns(self) -> int:
        """MCUs across, with those that fill up the last segment of a row."""
        across = self.header.grid[0]
        return -(-across // self.interval) * self.interval if self.interval else across

    def coding(self, tables: dict[int, Table]) -> Coding:
        """How they are coded with these tables."""
        return Coding(self.columns, self.interval, tables)

    def tables(self) -> dict[int, Table]:
        """The shortest codes."""
        return {number: best_table(row.tolist()) for number, row in enumerate(self.counts) if row.any()}

    def kind(self, tables: dict[int, Table]) -> Kind:
        """As it stands in the file."""
        (width, height), (across, down) = self.header.unit, self.header.grid
        unit, grid = (width * across, height * down), (1, 1)
        if self.interval:
            unit, grid = (width * self.interval, height), (self.columns // self.interval, down)
        header, size_at = write_header(self.header, self.interval, tables)
        return Kind(self.header.width, self.header.height, header, size_at, unit, grid, margin_of(self.header))


def margin_of(header: Header) -> int:
    """Pixels beside a part of an image that its colours depend on.

    Chroma is stretched by a filter that looks one of its pixels to each side. At half the size that is as many pixels
    again, unless it is stretched both ways, for then all of its coefficients are decoded.
    """
    if len(header.components) == 1:
        return 0
    across, down = (side // 8 for side in header.unit)
    return max(across, down) * (1 if across == down else 2)


def group_key(plane: int, header: Header) -> Key:
    """What images have in common that share Huffman tables and a header."""
    kept, _ = write_header(header, 0, {})
    return plane, kept


def choose_interval(header: Header, size: int, restart: str) -> int:
    """MCUs of a segment for images like this one of `size` coded bytes.

    Colours at the right edge depend on where the image ends, so that there the segments of a row must end with it.
    """
    across, down = header.grid
    if restart == "none":
        return 0
    if restart == "row":
        return across
    even = [n for n in range(1, across + 1) if across % n == 0]
    lengths = even if len(header.components) > 1 else list(range(1, across + 1))
    if restart == "auto":
        return next((n for n in lengths if n * size >= LEAST * across * down), across)
    return max(n for n in lengths if n <= max(1, int(restart)))
