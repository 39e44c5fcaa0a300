"""Views of frames of any size: lengths in pixels are computed when the size is known."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from .views import Box, Placement, View

Geometry = Callable[[np.random.Generator], Placement]

TRIES = 10  # boxes drawn before there is none


def resized(box: Box, size: int) -> View:
    """Return the view of a part of a frame, resized to a square."""
    return View(box, (size, size), Box(0, 0, size, size))


def square(height: int, width: int, side: int, position: str) -> tuple[int, int, int]:
    """Return top, left and side of a crop. In the centre an odd side loses a pixel, as in the published pipeline."""
    if position == "c":
        half = side // 2
        return height // 2 - half, width // 2 - half, max(2 * half, 1)
    return (0 if position[0] == "t" else height - side), (0 if position[1] == "l" else width - side), side


def place_window(height: int, width: int, *, size: int, zoom: float) -> View:
    """Return the central square of side `size` of the frame resized so that its short side is `zoom` times that."""
    tall, wide = scaled(height, width, round(size * zoom))
    top, left = round((tall - size) / 2), round((wide - size) / 2)
    return View(Box(0, 0, height, width), (tall, wide), Box(top, left, size, size))


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
