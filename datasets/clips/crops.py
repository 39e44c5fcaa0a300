"""Crops of evaluation: which part of the frames is seen, the same for all frames and streams of a clip.

Those of training are in `random_crops`, those of evaluation here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from ..streams import parse_view
from .views import Box, Placement, View, reverse_x, scaled

NUM_CROPS = (1, 3, 5, 10)


class TestCrops:
    """The crops of a clip that a validation or a test scores. They are decoded as one picture that holds them all.

    One crop is the centre. Three lie side by side along the long side: its two ends, then the centre.
    Five are the corners and the centre, ten these each followed by its mirror image (IBM's Action Recognition Study).
    Crops move in quarters of the room about them, rounded down. Their side is `size` in pixels; frames are resized to
    `short_side`, by default `size`. Raises ValueError if there is no such number of crops, or they are larger than the
    resized frame.
    """

    def __init__(self, size: int, crops: int = 1, short_side: int | None = None) -> None:
        short_side = short_side or size
        if crops not in NUM_CROPS:
            raise ValueError(f"--num_crops must be one of {', '.join(map(str, NUM_CROPS))}, got {crops}")
        if short_side < size:
            raise ValueError(f"--short_side {short_side} is less than --sample_size {size}: crops would not fit")
        self.size, self.crops = size, crops
        self.placement = Placement(partial(place_union, size=size, zoom=short_side / size, crops=crops))

    def __call__(self, rng: np.random.Generator) -> Placement:
        return self.placement

    def offsets(self, height: int, width: int, size: int) -> list[tuple[int, int]]:
        """Return top and left of the crops of a side, without mirrored ones, in the picture that holds them."""
        down, right = height - size, width - size
        centre = (down // 2, right // 2)
        if self.crops <= 3:  # the picture is as narrow as they are
            return [(0, 0), (down, right), centre][: self.crops]
        return [(0, 0), (0, right), (down, 0), (down, right), centre]

    def split(self, sample: dict[str, Any]) -> list[dict[str, Any]]:
        """Cut the clips (..., C, T, h, w) of every view into those of the crops, a sample for each.

        They are (..., C, T, size, size); views that state a side have that. The rest is handed on.
        """
        views = {name: x for name, x in sample.items() if isinstance(x, Tensor) and x.dim() >= 4}
        crops = []
        for k in range(len(self.offsets(self.size, self.size, self.size))):
            crop = {name: self.cut(x, k, parse_view(name).side or self.size) for name, x in views.items()}
            crops.append({**sample, **crop})
            if self.crops == 10:
                crops.append({**sample, **mirror(crop)})
        return crops

    def cut(self, x: Tensor, k: int, size: int) -> Tensor:
        """Return crop `k`, of a side in pixels, of the clips of a view; views may differ in size."""
        height, width = x.shape[-2:]
        top, left = self.offsets(height, width, size)[k]
        return x[..., top : top + size, left : left + size]


class TwoStreamCrops(TestCrops):
    """The ten crops of "very deep two-stream" networks: corners, centre and their mirror images.

    Frames are resized to 256 x 340 whatever their shape, and the centre is two columns right of the middle. Crops are
    of 224 pixels in the publication. Raises ValueError if a crop is larger than 256, or the short side is another one.
    """

    FRAME = (256, 340)

    def __init__(self, size: int = 224, short_side: int | None = None) -> None:
        if short_side not in (None, self.FRAME[0]):
            raise ValueError(f"--short_side {short_side}: these crops resize frames to 340x256; leave it out")
        super().__init__(size, 10, self.FRAME[0])
        self.placement = Placement(
            partial(place_stretched, size=size, zoom=(self.FRAME[0] / size, self.FRAME[1] / size))
        )

    def offsets(self, height: int, width: int, size: int) -> list[tuple[int, int]]:
        *corners, (top, left) = super().offsets(height, width, size)
        return [*corners, (top, left + round(2 * size / self.size))]


def short_side_for(side: int, size: int, short_side: int | None) -> int | None:
    """Return the short side of frames, if one is asked for, whose crops of `side` show what those of `size` show."""
    return short_side and round(side * (short_side / size))


def place_union(height: int, width: int, *, size: int, zoom: float, crops: int) -> View:
    """Return the view of the smallest window that holds all crops, of frames with the short side `zoom * size`."""
    tall, wide = scaled(height, width, round(size * zoom))
    down, right = (tall - size) // 4, (wide - size) // 4
    window = Box(0, 0, 4 * down + size, 4 * right + size)
    if crops == 1:
        window = Box(round((tall - size) / 2), round((wide - size) / 2), size, size)
    elif crops == 3:
        upright = Box(0, 2 * right, window.height, size)
        window = upright if tall > wide else Box(2 * down, 0, size, window.width)
    return View(Box(0, 0, height, width), (tall, wide), window)


def place_stretched(height: int, width: int, *, size: int, zoom: tuple[float, float]) -> View:
    """Return the view of the whole frame, resized to a height and width, `zoom` times `size`."""
    tall, wide = (round(size * n) for n in zoom)
    return View(Box(0, 0, height, width), (tall, wide), Box(0, 0, tall, wide))


def mirror(clip: dict[str, Tensor]) -> dict[str, Tensor]:
    """Mirror clips (..., C, T, H, W) of some views left-right, and turn round the horizontal motion of vectors."""
    mirrored = {name: x.flip(-1) for name, x in clip.items()}
    return {name: reverse_x(x) if parse_view(name).stream.vectors else x for name, x in mirrored.items()}


TEST_CROPS: dict[str, Callable[..., TestCrops]] = {
    **{str(crops): partial(TestCrops, crops=crops) for crops in NUM_CROPS},
    "two-stream": TwoStreamCrops,
}
