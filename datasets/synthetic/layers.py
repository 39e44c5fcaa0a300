"""Textured layers that move rigidly, drawn back to front, and the exact flow of what is drawn.

A point is complex, x + iy in pixels with y downwards. A layer maps its own coordinates u to the picture by a u + b,
with complex a (size and turn) and b (place) for each frame: so the motion of each of its points is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .surfaces import Array, sample

Points = NDArray[np.complex128]
Depth = Callable[[Points], NDArray[np.float64]]


@dataclass(frozen=True)
class Layer:
    """A textured shape and its motion."""

    depth: Depth  # of a point inside the outline, negative outside; in the layer's units
    circle: tuple[complex, float] | None  # middle and radius round the outline, None for what fills the picture
    surface: Array  # texture, shape (side, side, 3), BGR grey levels
    grain: float  # pixels of the texture per unit
    a: Points  # size in pixels per unit and turn, shape (T,)
    b: Points  # place of its origin, shape (T,)

    def coverage(self, t: int, points: Points) -> NDArray[np.float64]:
        """Compute the coverage of pixels at these points, in [0, 1]: its edge is a pixel wide."""
        inside: NDArray[np.float64] = np.clip(0.5 + abs(self.a[t]) * self.depth(self.inverse(t, points)), 0, 1)
        return inside

    def inverse(self, t: int, points: Points) -> Points:
        """Return what is at points of frame `t`, in the layer's coordinates."""
        return (points - self.b[t]) / self.a[t]

    def colour(self, u: Points) -> Array:
        """Look up the surface at points of the layer, of any one shape; the colours have a last axis more."""
        middle = self.surface.shape[0] / 2
        return sample(self.surface, middle + self.grain * u.real, middle + self.grain * u.imag)

    def near(self, t: int, points: Points) -> NDArray[np.bool_]:
        """Return which points are so near that the layer can cover them."""
        if self.circle is None:
            return np.ones(points.shape, np.bool_)
        middle, radius = self.a[t] * self.circle[0] + self.b[t], abs(self.a[t]) * self.circle[1] + 1
        away = points - middle
        return away.real**2 + away.imag**2 < radius**2

    def box(self, t: int, size: int) -> tuple[slice, slice]:
        """Return rows and columns of the picture outside of which the layer is not seen."""
        if self.circle is None:
            return slice(0, size), slice(0, size)
        middle, radius = self.a[t] * self.circle[0] + self.b[t], abs(self.a[t]) * self.circle[1] + 1
        sides = []
        for place in (middle.imag, middle.real):
            first, last = np.clip((np.floor(place - radius), np.ceil(place + radius) + 1), 0, size)
            sides.append(slice(int(first), int(last)))
        return sides[0], sides[1]

    def moved(self, turn: complex | Points, shift: complex | Points) -> "Layer":
        """Return the layer where its place z is turn z + shift."""
        return replace(self, a=turn * self.a, b=turn * self.b + shift)

    def reversed(self) -> "Layer":
        return replace(self, a=self.a[::-1], b=self.b[::-1])


class ExactFlow(NamedTuple):
    """Flow from each frame to the next one as it was drawn."""

    flow: Array  # pixels per frame, x first, shape (T - 1, H, W, 2); also of what the next frame does not show
    hidden: NDArray[np.bool_]  # what the next frame does not show, behind a thing or outside, shape (T - 1, H, W)

    def mirrored(self) -> "ExactFlow":
        """Return the flow of frames whose left is right."""
        return ExactFlow(self.flow[:, :, ::-1] * np.array((-1, 1), np.float32), self.hidden[:, :, ::-1])


def grid(size: int) -> Points:
    """Return the middles of the pixels, shape (size, size)."""
    y, x = np.mgrid[:size, :size]
    return x + 1j * y


def draw(layers: Sequence[Layer], size: int, frames: int) -> tuple[Array, NDArray[np.int64]]:
    """Draw layers, the first at the back: frames (T, size, size, 3), BGR, and the layer that each pixel shows most."""
    points = grid(size)
    pixels = np.zeros((frames, size, size, 3), np.float32)
    owner = np.zeros((frames, size, size), np.int64)
    for t in range(frames):
        for index, layer in enumerate(layers):
            rows, columns = layer.box(t, size)
            if rows.start == rows.stop or columns.start == columns.stop:
                continue
            part, there = points[rows, columns], pixels[t, rows, columns]
            alpha = layer.coverage(t, part)
            colour = layer.colour(layer.inverse(t, part))
            there += alpha[..., None].astype(np.float32) * (colour - there)
            owner[t, rows, columns][alpha > 0.5] = index
    return pixels, owner


def exact_flow(layers: Sequence[Layer], owner: NDArray[np.int64]) -> ExactFlow:
    """Compute the flow of what `draw` has drawn from the motion of the layer that a pixel shows."""
    frames, size = owner.shape[:2]
    points = grid(size)
    flow = np.zeros((frames - 1, size, size, 2), np.float32)
    hidden = np.zeros((frames - 1, size, size), np.bool_)
    for t in range(frames - 1):
        after = follow(layers, owner[t], t, points)
        flow[t] = np.stack([(after - points).real, (after - points).imag], -1)
        hidden[t] = (np.minimum(after.real, after.imag) < 0) | (np.maximum(after.real, after.imag) > size - 1)
        for index, layer in enumerate(layers):
            behind = (owner[t] < index) & layer.near(t + 1, after)
            if behind.any():
                hidden[t][behind] |= layer.coverage(t + 1, after[behind]) > 0.5
    return ExactFlow(flow, hidden)


def follow(layers: Sequence[Layer], owner: NDArray[np.int64], t: int, points: Points) -> Points:
    """Return where frame t + 1 has what the pixels of frame `t` show, each that of its `owner`."""
    scale = np.array([layer.a[t + 1] / layer.a[t] for layer in layers])
    origins = np.array([(layer.b[t], layer.b[t + 1]) for layer in layers])
    return scale[owner] * (points - origins[owner, 0]) + origins[owner, 1]
