"""Views: which part of a frame is seen and how large, decided before decoding, so that only that part is decoded."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor


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


def whole(height: int, width: int) -> View:
    """Return the view of the whole frame."""
    frame = Box(0, 0, height, width)
    return View(frame, (height, width), frame)


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
