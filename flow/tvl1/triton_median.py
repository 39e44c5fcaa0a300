"""Triton's kernel of TV-L1's median filter, and whether a pair has settled; see triton_kernels.py.

The exchanges are those of tvl1_median.h: columns are sorted, then what has the same rank in them, and the median is
then one of few.
"""

import triton
import triton.language as tl

PIXELS = 128  # that one program does
CHUNK = 256  # changes that are added up at a time


@triton.jit
def total_change(changes: tl.tensor, tiles: tl.int32, chunk: tl.constexpr) -> tl.tensor:
    """Sum the change over the tiles of a pair; negative if it had settled before the last launch."""
    sums = tl.zeros([chunk], tl.float32)
    for first in range(0, tiles, chunk):
        at = first + tl.arange(0, chunk)
        sums += tl.load(changes + at, at < tiles, 0.0)
    return tl.sum(sums, 0)


@triton.jit
def order(a: tl.tensor, b: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Return the lesser and the greater."""
    return tl.minimum(a, b), tl.maximum(a, b)


@triton.jit
def sort3(a: tl.tensor, b: tl.tensor, c: tl.tensor) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Sort three values in ascending order."""
    a, b = order(a, b)
    b, c = order(b, c)
    a, b = order(a, b)
    return a, b, c


@triton.jit
def sort5(
    a: tl.tensor, b: tl.tensor, c: tl.tensor, d: tl.tensor, e: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Sort five values in ascending order."""
    a, b = order(a, b)
    d, e = order(d, e)
    c, e = order(c, e)
    c, d = order(c, d)
    a, d = order(a, d)
    a, c = order(a, c)
    b, e = order(b, e)
    b, d = order(b, d)
    b, c = order(b, c)
    return a, b, c, d, e


@triton.jit
def near(plane: tl.tensor, x: tl.tensor, y: tl.tensor, height: tl.int32, width: tl.int32) -> tl.tensor:
    """Load the value at (x, y), edges repeated."""
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    y = tl.minimum(tl.maximum(y, 0), height - 1)
    return tl.load(plane + y * width + x)


@triton.jit
def column3(
    plane: tl.tensor, x: tl.tensor, y: tl.tensor, height: tl.int32, width: tl.int32
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Load three values about (x, y), one above the other, sorted."""
    return sort3(
        near(plane, x, y - 1, height, width),
        near(plane, x, y, height, width),
        near(plane, x, y + 1, height, width),
    )


@triton.jit
def column5(
    plane: tl.tensor, x: tl.tensor, y: tl.tensor, height: tl.int32, width: tl.int32
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Load five values about (x, y), one above the other, sorted."""
    return sort5(
        near(plane, x, y - 2, height, width),
        near(plane, x, y - 1, height, width),
        near(plane, x, y, height, width),
        near(plane, x, y + 1, height, width),
        near(plane, x, y + 2, height, width),
    )


@triton.jit
def median9(plane: tl.tensor, x: tl.tensor, y: tl.tensor, height: tl.int32, width: tl.int32) -> tl.tensor:
    """Compute the median of 3 times 3 about (x, y)."""
    a0, a1, a2 = column3(plane, x - 1, y, height, width)
    b0, b1, b2 = column3(plane, x, y, height, width)
    c0, c1, c2 = column3(plane, x + 1, y, height, width)
    a1, b1, c1 = sort3(a1, b1, c1)
    a0, b1, c2 = sort3(tl.maximum(tl.maximum(a0, b0), c0), b1, tl.minimum(tl.minimum(a2, b2), c2))
    return b1


@triton.jit
def median25(plane: tl.tensor, x: tl.tensor, y: tl.tensor, height: tl.int32, width: tl.int32) -> tl.tensor:
    """Compute the median of 5 times 5 about (x, y)."""
    a0, a1, a2, a3, a4 = column5(plane, x - 2, y, height, width)
    b0, b1, b2, b3, b4 = column5(plane, x - 1, y, height, width)
    c0, c1, c2, c3, c4 = column5(plane, x, y, height, width)
    d0, d1, d2, d3, d4 = column5(plane, x + 1, y, height, width)
    e0, e1, e2, e3, e4 = column5(plane, x + 2, y, height, width)
    a0, b0, c0, d0, e0 = sort5(a0, b0, c0, d0, e0)
    a1, b1, c1, d1, e1 = sort5(a1, b1, c1, d1, e1)
    a2, b2, c2, d2, e2 = sort5(a2, b2, c2, d2, e2)
    a3, b3, c3, d3, e3 = sort5(a3, b3, c3, d3, e3)
    a4, b4, c4, d4, e4 = sort5(a4, b4, c4, d4, e4)
    c3, d1 = order(c3, d1)
    c1, d0 = order(c1, d0)
    c2, e0 = order(c2, e0)
    d2, e1 = order(d2, e1)
    c2, b2 = order(c2, b2)
    b3, d2 = order(b3, d2)
    d0, b3 = order(d0, b3)
    b4, c3 = order(b4, c3)
    b3, a4 = order(b3, a4)
    b3, b2 = order(b3, b2)
    a3, b4 = order(a3, b4)
    e0, a4 = order(e0, a4)
    b4, b2 = order(b4, b2)
    b4, e0 = order(b4, e0)
    e0, b2 = order(e0, b2)
    return e0


@triton.jit(do_not_specialize=["height", "width", "tiles", "enough"])
def smooth(  # noqa: PLR0913  a kernel has no objects
    state: tl.tensor,
    changes: tl.tensor,
    smoothed: tl.tensor,
    height: tl.int32,
    width: tl.int32,
    tiles: tl.int32,
    enough: tl.float32,
    side: tl.constexpr,
    block: tl.constexpr,
    chunk: tl.constexpr,
) -> None:
    """Filter u by the median in a window about each of `block` pixels of one pair per program; edges are repeated.

    The side of the window is 3 or 5. Per pair, `state` has 6 planes, of which u is read, and `smoothed` 2, which are
    written: u as it is where the pair has settled. `changes` are those of the last launch of `iterate`, see there.
    """
    area = height * width
    blocks = tl.cdiv(area, block)
    pair = (tl.program_id(0) // blocks).to(tl.int64)
    at = tl.program_id(0) % blocks * block + tl.arange(0, block)
    inside = at < area
    x, y = at % width, at // width
    change = total_change(changes + pair * tiles, tiles, chunk)
    for plane in tl.static_range(2):
        u = state + (pair * 6 + plane) * area
        if change <= enough:
            value = tl.load(u + at, inside, 0.0)
        elif side == 3:
            value = median9(u, x, y, height, width)
        else:
            value = median25(u, x, y, height, width)
        tl.store(smoothed + (pair * 2 + plane) * area + at, value, inside)
