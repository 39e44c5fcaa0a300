"""Random crops for training: which part of the frames is seen, drawn once per clip for all its frames and streams.

All result in a square of `size` pixels, mirrored with the probability `flip`, and raise ValueError for `scales`, by
default those of the publication, outside their limits. Those of torchvision are not used: they draw from torch's global
generator for frames that are decoded already, here only what is seen is decoded, and streams of two sizes see the same
part.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from .views import Box, Geometry, Placement, View, draw_boxes, fitting_box, resized, scaled

SCALES = tuple(2 ** (-i / 4) for i in range(5))  # 1, 0.84, 0.71, 0.59, 0.5
POSITIONS = ("c", "tl", "tr", "bl", "br")
RATIOS = (1.0, 0.875, 0.75, 0.66)
# Rows and columns of the crops of temporal segment networks, in quarters of the room.
OFFSETS = ((0, 0), (0, 4), (4, 0), (4, 4), (2, 2), (0, 2), (4, 2), (2, 0), (2, 4), (1, 1), (1, 3), (3, 1), (3, 3))
SNAP = 3  # pixels
AREAS = (0.08, 1.0)
ZOOMS = (256 / 224, 320 / 224)  # frames of 256 to 320 pixels for crops of 224


def check_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """Check scales, parts of a frame: there is at least one, and all lie in (0, 1]."""
    if not scales or not all(0 < scale <= 1 for scale in scales):
        raise ValueError(f"--crop_scales must lie in (0, 1], got {list(scales)}")
    return tuple(scales)


def check_range(scales: Sequence[float]) -> tuple[float, float]:
    """Check that scales are the two limits of a range."""
    if len(scales) != 2 or not scales[0] <= scales[1]:
        raise ValueError(f"--crop_scales must be two ascending numbers with this --crop, got {list(scales)}")
    return scales[0], scales[1]


def draw_flip(rng: np.random.Generator, flip: float) -> bool:
    """Draw whether to mirror; without mirroring nothing is drawn."""
    return flip > 0 and bool(rng.random() < flip)


class MultiScaleCornerCrop:
    """Multi-scale corner crop: a square at a random scale of the short side, in a corner or the centre, resized.

    Scales are sides of the crop over the short side, in (0, 1].
    """

    def __init__(self, size: int, scales: Sequence[float] | None = None, flip: float = 0.5) -> None:
        self.size, self.scales, self.flip = size, check_scales(SCALES if scales is None else scales), flip

    def __call__(self, rng: np.random.Generator) -> Placement:
        scale = self.scales[rng.integers(len(self.scales))]
        position = POSITIONS[rng.integers(len(POSITIONS))]
        place = partial(place_corner, size=self.size, scale=scale, position=position)
        return Placement(place, draw_flip(rng, self.flip))


class CentralCrop:
    """Central crop: the same square in every epoch, of a side over the short side in (0, 1], resized; nothing is drawn.

    `scales` is that side alone, by default the whole short side.
    """

    def __init__(self, size: int, scales: Sequence[float] | None = None, flip: float = 0.5) -> None:
        relative = check_scales((1.0,) if scales is None else scales)
        if len(relative) > 1:
            raise ValueError(f"--crop_scales must be one number with --crop center, got {list(relative)}")
        self.size, self.scale, self.flip = size, relative[0], flip

    def __call__(self, rng: np.random.Generator) -> Placement:
        place = partial(place_corner, size=self.size, scale=self.scale, position="c")
        return Placement(place, draw_flip(rng, self.flip))


def place_corner(height: int, width: int, *, size: int, scale: float, position: str) -> View:
    """Return the square of side `scale` times the short side at `position`, resized to `size`."""
    side = max(int(min(height, width) * scale), 1)
    top, left = (0 if position[0] == "t" else height - side), (0 if position[-1] == "l" else width - side)
    if position == "c":  # where an odd side loses a pixel, as in the published pipeline
        top, left, side = height // 2 - side // 2, width // 2 - side // 2, max(side // 2 * 2, 1)
    return resized(Box(top, left, side, side), size)


class FixedCornerCrop:
    """The crop of temporal segment networks: sides from a few ratios, at one of 13 places, resized to a square.

    Height and width are neighbouring ratios of the short side, in (0, 1], descending; those within 3 pixels of `size`
    are `size`.
    """

    def __init__(self, size: int, scales: Sequence[float] | None = None, flip: float = 0.5) -> None:
        ratios = check_scales(RATIOS if scales is None else scales)
        near = range(len(ratios))
        self.pairs = [(ratios[i], ratios[j]) for i in near for j in near if abs(i - j) <= 1]
        self.size, self.flip = size, flip

    def __call__(self, rng: np.random.Generator) -> Placement:
        pair = self.pairs[rng.integers(len(self.pairs))]
        offset = OFFSETS[rng.integers(len(OFFSETS))]
        place = partial(place_fixed, size=self.size, near=self.size, ratios=pair, offset=offset)
        return Placement(place, draw_flip(rng, self.flip))


def place_fixed(
    height: int, width: int, *, size: int, near: int, ratios: tuple[float, float], offset: tuple[int, int]
) -> View:
    """Return the crop of height and width `ratios` of the short side, `offset` quarters of the room down and right.

    Sides close to `near` become it.
    """
    tall, wide = (snap(int(min(height, width) * ratio), near, min(height, width)) for ratio in ratios)
    top, left = offset[0] * ((height - tall) // 4), offset[1] * ((width - wide) // 4)
    return resized(Box(top, left, tall, wide), size)


def snap(side: int, size: int, short: int) -> int:
    """Return `size` if it is less than 3 pixels away and fits, so that nothing is resized by a hair."""
    return size if abs(side - size) < SNAP and size <= short else max(side, 1)


class RandomResizedCrop:
    """Inception crop: a box of random area and aspect ratio, resized to a square, by torchvision's rule.

    Scales are the least and greatest part of the area, in (0, 1], `ratio` the least and greatest width over height.
    """

    def __init__(
        self,
        size: int,
        scales: Sequence[float] | None = None,
        flip: float = 0.5,
        ratio: tuple[float, float] = (3 / 4, 4 / 3),
    ) -> None:
        self.scales = check_range(check_scales(AREAS if scales is None else scales))
        self.size, self.flip, self.ratio = size, flip, ratio

    def __call__(self, rng: np.random.Generator) -> Placement:
        draws = draw_boxes(rng, self.scales, self.ratio)
        place = partial(place_resized, size=self.size, draws=draws, ratio=self.ratio)
        return Placement(place, draw_flip(rng, self.flip))


def place_resized(height: int, width: int, *, size: int, draws: np.ndarray, ratio: tuple[float, float]) -> View:
    """Return the box in a frame of this size; if none fits, the greatest central one of a legal ratio."""
    box = fitting_box(height, width, draws)
    if box is None:
        tall = min(height, max(round(width / ratio[0]), 1))
        wide = min(width, max(round(height * ratio[1]), 1))
        box = Box((height - tall) // 2, (width - wide) // 2, tall, wide)
    return resized(box, size)


class RandomShortSideCrop:
    """Short-side jitter: the frame at a random size, and a random square of it (non-local networks; IBM).

    Scales are the least and greatest short side of the resized frame over `size`, >= 1.
    """

    def __init__(self, size: int, scales: Sequence[float] | None = None, flip: float = 0.5) -> None:
        low, high = check_range(ZOOMS if scales is None else scales)
        if low < 1:
            raise ValueError(f"--crop_scales must be >= 1 with --crop short_side, got {[low, high]}")
        self.size, self.short_sides, self.flip = size, (round(size * low), round(size * high)), flip

    def __call__(self, rng: np.random.Generator) -> Placement:
        short = int(rng.integers(self.short_sides[0], self.short_sides[1] + 1))
        corner = rng.random(2).tolist()
        place = partial(place_jittered, size=self.size, base=self.size, short_side=short, place=corner)
        return Placement(place, draw_flip(rng, self.flip))


def place_jittered(height: int, width: int, *, size: int, base: int, short_side: int, place: Sequence[float]) -> View:
    """Return a square window, at `place` (down and right in [0, 1)), of the frame resized to `short_side`.

    `base` is the side of the window in the resized frame; another `size` is of what it shows, to a pixel of the frame.
    """
    tall, wide = scaled(height, width, short_side)
    top, left = int(place[0] * (tall - base + 1)), int(place[1] * (wide - base + 1))
    if size == base:
        return View(Box(0, 0, height, width), (tall, wide), Box(top, left, size, size))
    (top, rows), (left, columns) = covered(top, base, height / tall), covered(left, base, width / wide)
    return resized(Box(top, left, rows, columns), size)


def covered(start: int, side: int, scale: float) -> tuple[int, int]:
    """Return the first pixel of a frame, and their number, that a window of the resized frame shows in a direction."""
    first = int(start * scale)
    return first, max(round((start + side) * scale), first + 1) - first


CROPS: dict[str, Callable[..., Geometry]] = {
    "corners": MultiScaleCornerCrop,
    "fixed": FixedCornerCrop,
    "resized": RandomResizedCrop,
    "short_side": RandomShortSideCrop,
    "center": CentralCrop,
}
