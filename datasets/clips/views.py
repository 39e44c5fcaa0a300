"""Views: which part of a frame is seen and how large, decided before decoding, so that only that part is decoded."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor

TRIES = 10  # boxes drawn before there is none


class Box(NamedTuple):
    """A rectangle in pixels."""

    top: int
    left: int
    height: int
    width: int


class View(NamedTuple):
    """The part of a frame that a network is shown, and its size."""

    box: Box  # part of the frame that is resized, and that alone: pixels beside it do not count at its edges
    size: tuple[int, int]  # height and width that the box is resized to
    window: Box  # part of the resized box that is kept
    flip: bool = False  # whether the window is mirrored left-right


class Placement(NamedTuple):
    """One draw of a geometry, for frames of any size. All streams of a clip share it."""

    # Height and width of a frame -> view without mirroring; where it has a keyword `size`, the side of the window in
    # pixels, views of other sizes show the same part.
    place: Callable[..., View]
    flip: bool = False  # whether the clip is mirrored

    def __call__(self, height: int, width: int) -> View:
        view: View = self.place(height, width)
        return view._replace(flip=self.flip)

    def at(self, side: int) -> "Placement":
        """Return the placement that shows the same part of a frame with windows of another side."""
        return self._replace(place=partial(self.place, size=side))


Geometry = Callable[[np.random.Generator], Placement]


def whole(height: int, width: int) -> View:
    """Return the view of the whole frame."""
    frame = Box(0, 0, height, width)
    return View(frame, (height, width), frame)


def resized(box: Box, size: int) -> View:
    """Return the view of a part of a frame, resized to a square."""
    return View(box, (size, size), Box(0, 0, size, size))


def scaled(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Compute the size of a frame with this short side; the other side is cut to an integer, as published."""
    short = min(height, width)
    return int(short_side * height / short), int(short_side * width / short)


def draw_boxes(rng: np.random.Generator, scale: Sequence[float], ratio: Sequence[float]) -> np.ndarray:
    """Draw boxes to try on a frame, all ahead, because which fits depends on the frame.

    Rows, (10, 4), are area and ratio (width over height), between the ends of `scale` and `ratio`, and place down and
    right in [0, 1).
    """
    draws = rng.random((TRIES, 4))
    draws[:, 0] = scale[0] + (scale[1] - scale[0]) * draws[:, 0]
    draws[:, 1] = np.exp(np.log(ratio[0]) + np.log(ratio[1] / ratio[0]) * draws[:, 1])
    return draws


def fitting_box(height: int, width: int, draws: np.ndarray) -> Box | None:
    """Return the first box that fits into the frame.

    Fitting is decided before rounding, so that frames of one shape and different sizes agree.
    """
    for area, aspect, down, right in draws.tolist():
        wide, tall = (math.sqrt(area * height * width * a) for a in (aspect, 1 / aspect))
        if wide <= width and tall <= height:
            box_height, box_width = max(round(tall), 1), max(round(wide), 1)
            top, left = int(down * (height - box_height + 1)), int(right * (width - box_width + 1))
            return Box(top, left, box_height, box_width)
    return None


def resample(frames: Tensor, view: View) -> Tensor:
    """Resample decoded frames (..., C, H, W) to a view: antialiased bilinear, Pillow's filter, to one level of 255.

    They are uint8, or float on GPUs, where torch resizes no bytes; the result, (..., C, window height, window width),
    is of the same dtype.
    """
    box, size, window, flip = view
    part = frames[..., box.top : box.top + box.height, box.left : box.left + box.width]
    if part.shape[-2:] != size:
        batch = part.reshape(-1, *part.shape[-3:])
        part = F.interpolate(batch, size, mode="bilinear", antialias=True).reshape(*part.shape[:-2], *size)
    part = part[..., window.top : window.top + window.height, window.left : window.left + window.width]
    return part.flip(-1) if flip else part


def reverse_x(flow: Tensor) -> Tensor:
    """Turn round the horizontal motion of mirrored flow clips (..., 2, T, H, W), in place.

    255 - x is a change of sign about 127.5.
    """
    x = flow.select(-4, 0)
    x.copy_(255 - x)
    return flow
