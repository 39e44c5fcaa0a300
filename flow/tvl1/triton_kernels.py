"""Triton's kernels of TV-L1; the formulas and the names are those of torch_solver.py.

A plane is one float32 (H, W) without gaps. Per pair of images there are 6 planes of state (u1, u2, and p of u1 along x
and y, p of u2 along x and y), 3 of the following image (grey level, gradient along x and y) and 4 of the data term
(rho, a1, a2 and what turns a into b).

When to stop is decided where the flow is. Each launch of `iterate` leaves one number per tile, the sum of the squared
changes of u in its last iteration, and the next one adds up those of its pair: at most `enough`, and the pair has
settled. That launch then copies the state, so that both of the buffers which take turns hold it, and leaves -1; from
there on the pair's programs do nothing. No number depends on which program comes first.
"""

import triton
import triton.language as tl

from .triton_median import total_change

BLOCK = 256  # pixels that one program of `linearise` does
TILE = 64  # side of the square that one program of `iterate` holds in registers, its margins included
HALO = 5  # width of those margins, therefore iterations per launch at most: `tensors.CHECK_EVERY`
WARPS = 16  # of a program of `iterate`: 8 pixels per thread
FLAT = tl.constexpr(2.0**-23)
A = tl.constexpr(-0.75)  # of the cubic, OpenCV's


@triton.jit
def cubic(t: tl.tensor, tap: tl.constexpr) -> tl.tensor:
    """Return the weight of the neighbour `tap` - 1 when sampling at t in [0, 1) (Keys 1981)."""
    if tap == 0:
        weight = A * t * (1 - t) * (1 - t)
    elif tap == 1:
        weight = ((A + 2) * t - (A + 3)) * t * t + 1
    elif tap == 2:
        weight = ((A + 2) * (1 - t) - (A + 3)) * (1 - t) * (1 - t) + 1
    else:
        weight = A * t * t * (1 - t)
    return weight


@triton.jit(do_not_specialize=["height", "width", "theta", "lambda_"])
def linearise(  # noqa: PLR0913  a kernel has no objects
    previous: tl.tensor,
    planes: tl.tensor,
    state: tl.tensor,
    data: tl.tensor,
    height: tl.int32,
    width: tl.int32,
    theta: tl.float32,
    lambda_: tl.float32,
    block: tl.constexpr,
) -> None:
    """Linearise the data term about the flow theta u, `block` pixels of one pair per program.

    Per pair, `previous` has 1 plane, `planes` 3, `state` 6, of which u is read, and `data` 4, which are written.
    """
    area = height * width
    blocks = tl.cdiv(area, block)
    pair = (tl.program_id(0) // blocks).to(tl.int64)
    at = tl.program_id(0) % blocks * block + tl.arange(0, block)
    inside = at < area
    previous += pair * area
    planes += pair * 3 * area
    state += pair * 6 * area
    data += pair * 4 * area
    u1 = tl.load(state + at, inside, 0.0)
    u2 = tl.load(state + area + at, inside, 0.0)
    # Far outside all taps are 0; the limits keep the indices from overflowing.
    x = tl.minimum(tl.maximum(at % width + theta * u1, -2.0), width + 1.0)
    y = tl.minimum(tl.maximum(at // width + theta * u2, -2.0), height + 1.0)
    left, top = tl.floor(x), tl.floor(y)
    image = tl.zeros([block], tl.float32)
    gx = tl.zeros([block], tl.float32)
    gy = tl.zeros([block], tl.float32)
    for j in tl.static_range(4):
        row = top.to(tl.int32) + (j - 1)
        for i in tl.static_range(4):
            column = left.to(tl.int32) + (i - 1)
            valid = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            weight = cubic(x - left, i) * cubic(y - top, j)
            tap = planes + row * width + column
            image += weight * tl.load(tap, valid, 0.0)
            gx += weight * tl.load(tap + area, valid, 0.0)
            gy += weight * tl.load(tap + 2 * area, valid, 0.0)
    squared = tl.maximum(gx * gx + gy * gy, FLAT)
    scale = -1.0 / (lambda_ * squared)
    a1, a2 = gx * scale, gy * scale
    rho = (image - tl.load(previous + at, inside, 0.0)) * scale / theta - a1 * u1 - a2 * u2
    tl.store(data + at, rho, inside)
    tl.store(data + area + at, a1, inside)
    tl.store(data + 2 * area + at, a2, inside)
    tl.store(data + 3 * area + at, -lambda_ * lambda_ * squared, inside)


@triton.jit
def ascend(
    px: tl.tensor, py: tl.tensor, u: tl.tensor, tau_x: tl.tensor, tau_y: tl.tensor, right: tl.tensor, below: tl.tensor
) -> tuple[tl.tensor, tl.tensor]:
    """Ascend one step of p, of one component of u."""
    gx = (tl.gather(u, right, 1) - u) * tau_x
    gy = (tl.gather(u, below, 0) - u) * tau_y
    scale = 1 / (1 + tl.sqrt(gx * gx + gy * gy))
    return (px + gx) * scale, (py + gy) * scale


@triton.jit(do_not_specialize=["u_planes", "height", "width", "steps", "tau", "enough"])
def iterate(  # noqa: PLR0913, PLR0915  a kernel has no objects
    u: tl.tensor,
    u_planes: tl.int32,
    state: tl.tensor,
    data: tl.tensor,
    changes: tl.tensor,
    result: tl.tensor,
    changed: tl.tensor,
    height: tl.int32,
    width: tl.int32,
    steps: tl.int32,
    tau: tl.float32,
    enough: tl.float32,
    tile: tl.constexpr,
    halo: tl.constexpr,
    chunk: tl.constexpr,
) -> None:
    """Run `steps` iterations of one tile of one pair per program, in registers.

    With each iteration what is wrong at the tile's edge, for want of neighbours, comes a pixel nearer; after `halo` of
    them the middle, which is what is stored, has not been reached; so there are at most `halo` steps. The side of the
    tile is a power of 2, its margins are less than half of it.

    Per pair, `u` has `u_planes` planes, of which the first two are u: 6 if it is `state`, 2 if it is what `smooth`
    writes. Of the 6 planes of `state` p is read; `data` has 4. The 6 of `result` are written unless the pair had
    settled before the last launch. `changes` has 1 number per tile, of the last launch, infinite in the first one of a
    warp; `changed`, likewise, is written. At most `enough` of changes is settled, -1 is never.
    """
    area = height * width
    across = tl.cdiv(width, tile - 2 * halo)
    tiles = across * tl.cdiv(height, tile - 2 * halo)
    pair = (tl.program_id(0) // tiles).to(tl.int64)
    number = tl.program_id(0) % tiles
    span = tl.arange(0, tile)
    x = (number % across * (tile - 2 * halo) - halo + span)[None, :]
    y = (number // across * (tile - 2 * halo) - halo + span)[:, None]
    change = total_change(changes + pair * tiles, tiles, chunk)
    active_width = tl.where(change < 0, 0, width)  # nothing is read or written of a pair that settled earlier
    inside = (x >= 0) & (x < active_width) & (y >= 0) & (y < height)
    at = y * width + x
    u += pair * u_planes * area
    state += pair * 6 * area
    data += pair * 4 * area
    result += pair * 6 * area
    u1 = tl.load(u + at, inside, 0.0)
    u2 = tl.load(u + area + at, inside, 0.0)
    px1 = tl.load(state + 2 * area + at, inside, 0.0)
    py1 = tl.load(state + 3 * area + at, inside, 0.0)
    px2 = tl.load(state + 4 * area + at, inside, 0.0)
    py2 = tl.load(state + 5 * area + at, inside, 0.0)
    rho = tl.load(data + at, inside, 0.0)
    a1 = tl.load(data + area + at, inside, 0.0)
    a2 = tl.load(data + 2 * area + at, inside, 0.0)
    a_to_b = tl.load(data + 3 * area + at, inside, 0.0)
    left = tl.broadcast_to(tl.maximum(span - 1, 0)[None, :], [tile, tile])
    right = tl.broadcast_to(tl.minimum(span + 1, tile - 1)[None, :], [tile, tile])
    above = tl.broadcast_to(tl.maximum(span - 1, 0)[:, None], [tile, tile])
    below = tl.broadcast_to(tl.minimum(span + 1, tile - 1)[:, None], [tile, tile])
    # p stays 0 where grad u has no neighbour, and outside of the image.
    tau_x = tl.where((x >= 0) & (x < width - 1), tau, 0.0)
    tau_y = tl.where((y >= 0) & (y < height - 1), tau, 0.0)
    squares = tl.zeros([tile, tile], tl.float32)
    for _ in range(tl.where(change > enough, steps, 0)):
        d = tl.minimum(tl.maximum(rho + a1 * u1 + a2 * u2, -1.0), 1.0) * a_to_b
        step1 = d * a1 + (px1 - tl.gather(px1, left, 1)) + (py1 - tl.gather(py1, above, 0))
        step2 = d * a2 + (px2 - tl.gather(px2, left, 1)) + (py2 - tl.gather(py2, above, 0))
        squares = step1 * step1 + step2 * step2
        u1 += step1
        u2 += step2
        px1, py1 = ascend(px1, py1, u1, tau_x, tau_y, right, below)
        px2, py2 = ascend(px2, py2, u2, tau_x, tau_y, right, below)
    middle = (span >= halo) & (span < tile - halo)
    core = inside & middle[None, :] & middle[:, None]
    tl.store(result + at, u1, core)
    tl.store(result + area + at, u2, core)
    tl.store(result + 2 * area + at, px1, core)
    tl.store(result + 3 * area + at, py1, core)
    tl.store(result + 4 * area + at, px2, core)
    tl.store(result + 5 * area + at, py2, core)
    total = tl.sum(tl.sum(tl.where(core, squares, 0.0), 1), 0)
    tl.store(changed + pair * tiles + number, tl.where(change > enough, total, -1.0))
