"""Level `easy`: one object on a moving background.

A class is an object (seen in one frame) times a motion (seen only over time): `disc_rise`, `star_grow`, ...
No class is the mirror image of another, so a horizontal flip keeps the label.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .layers import ExactFlow
from .surfaces import Array, sample, texture

OBJECTS = {"disc": (70, 95, 190), "bar": (85, 185, 100), "star": (190, 90, 85)}  # mean colour, BGR
MOTIONS = ("rise", "fall", "sway", "grow")
CLASSES = tuple(sorted(f"{name}_{motion}" for name in OBJECTS for motion in MOTIONS))
COLOUR_SD = 35.0  # of an object's colour between videos, grey levels
TEXTURE_SD = 28.0  # within one surface, grey levels: TV-L1 follows nothing on a flat surface
PLACE = 7.0  # largest distance of a path's middle from the centre of the frame, along x and y, pixels
PAN = 0.3  # largest speed of the background along x and y, pixels per frame: below the object's own


def render(
    class_name: str, source: int, n: int, *, size: int = 48, frames: int = 20, seed: int = 0
) -> tuple[NDArray[np.uint8], Array]:
    """Draw clip `n` of a source.

    Args:
        class_name: One of `CLASSES`.
        source: Non-negative; decides the background, the object's colour, texture and proportions.
        n: Non-negative; with the source decides place, speed, phase and camera pan.
        size: Height and width in pixels, even, >= 16.
        frames: Number of frames T, >= 2.
        seed: Non-negative.

    Returns:
        The frames, shape (T, size, size, 3), BGR, and the object's coverage of each pixel, shape (T, size, size),
        in [0, 1].
    """
    if class_name not in CLASSES:
        raise ValueError(f"unknown class {class_name!r}; known: {', '.join(CLASSES)}")
    if size < 16 or size % 2 or frames < 2:
        raise ValueError(f"size {size} must be even and >= 16, frames {frames} must be >= 2")
    scene = draw_scene(class_name, source, n, size, frames, seed)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    pixels = np.empty((frames, size, size, 3), np.uint8)
    coverage = np.empty((frames, size, size), np.float32)
    for t in range(frames):
        u, v = scene.place(t, x, y)
        coverage[t] = scene.cover(t, u, v)
        behind = sample(scene.background, x + size / 2 + scene.pan[0] * t, y + size / 2 + scene.pan[1] * t)
        alpha = coverage[t, :, :, None]
        frame = alpha * sample(scene.surface, 32 + 14 * u, 32 + 14 * v) + (1 - alpha) * behind
        pixels[t] = np.clip(np.rint(frame), 0, 255)
    return pixels, coverage


def exact_flow(class_name: str, source: int, n: int, *, size: int = 48, frames: int = 20, seed: int = 0) -> ExactFlow:
    """Return the flow from each frame of `render` to the next one; arguments as there."""
    scene = draw_scene(class_name, source, n, size, frames, seed)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    flow = np.empty((frames - 1, size, size, 2), np.float32)
    hidden = np.empty((frames - 1, size, size), np.bool_)
    for t in range(frames - 1):
        growth = scene.scale[t + 1] / scene.scale[t]
        moved = scene.centre[t + 1] + growth * (np.stack([x, y], -1) - scene.centre[t])
        shown = scene.cover(t, *scene.place(t, x, y)) > 0.5
        after = np.where(shown[..., None], moved, np.stack([x - scene.pan[0], y - scene.pan[1]], -1))
        flow[t] = after - np.stack([x, y], -1)
        behind = ~shown & (scene.cover(t + 1, *scene.place(t + 1, after[..., 0], after[..., 1])) > 0.5)
        hidden[t] = behind | (after.min(-1) < 0) | (after.max(-1) > size - 1)
    return ExactFlow(flow, hidden)


class MovingObject(NamedTuple):
    """An object, its path (T, 2) as (x, y), its relative size (T,) and the speed of the background, in pixels."""

    name: str
    background: Array
    surface: Array
    radius: float
    angle: float
    centre: NDArray[np.floating[Any]]
    scale: Array
    pan: NDArray[np.float64]

    def place(self, t: int, x: Array, y: Array) -> tuple[Array, Array]:
        """Return which points of the object are at these points of a frame."""
        dx = (x - self.centre[t, 0]) / (self.radius * self.scale[t])
        dy = (y - self.centre[t, 1]) / (self.radius * self.scale[t])
        return (
            np.cos(self.angle) * dx + np.sin(self.angle) * dy,
            np.cos(self.angle) * dy - np.sin(self.angle) * dx,
        )

    def cover(self, t: int, u: Array, v: Array) -> Array:
        """Return the coverage of pixels that show these points of the object, in [0, 1]."""
        return np.clip(0.5 + depth(self.name, u, v) * self.radius * self.scale[t], 0, 1)


def draw_scene(class_name: str, source: int, n: int, size: int, frames: int, seed: int) -> MovingObject:
    """Draw what `render` shows."""
    name, motion = class_name.split("_")
    looks, action = np.random.default_rng([seed, source]), np.random.default_rng([seed, source, n + 1])
    unit = size / 48  # everything below is designed in pixels of a 48 x 48 frame
    background = looks.uniform(90, 160, 3) + TEXTURE_SD * texture(looks, 2 * size, 4 * unit)
    surface = looks.normal(OBJECTS[name], COLOUR_SD) + TEXTURE_SD * texture(looks, 64, 4)
    radius = unit * looks.uniform(9, 12)
    angle = looks.uniform(-1.2, 1.2)
    offset, scale = trajectory(motion, frames, action)
    centre = size / 2 + unit * (action.uniform(-PLACE, PLACE, 2) + offset)
    pan = unit * action.uniform(-PAN, PAN, 2)
    return MovingObject(name, background, surface, radius, angle, centre, scale, pan)


def trajectory(motion: str, frames: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Compute the offset from the middle of the path (T, 2) as (x, y) in pixels, y downwards, and relative size (T,).

    Middle place and middle size follow the same law for all motions, so that one frame tells little of the motion.
    """
    t = np.arange(frames, dtype=np.float32) - (frames - 1) / 2
    offset, scale = np.zeros((frames, 2), np.float32), np.ones(frames, np.float32)
    if motion == "grow":
        scale = np.exp(rng.uniform(0.02, 0.032) * t)
    elif motion == "sway":
        period = rng.uniform(9, 14)
        offset[:, 0] = rng.uniform(1.5, 2.5) * np.sin(2 * np.pi * (t / period + rng.uniform()))
    else:
        offset[:, 1] = rng.uniform(0.4, 0.75) * (t if motion == "fall" else -t)
        offset[:, 0] = rng.uniform(-0.15, 0.15) * t
    return offset, scale


def depth(name: str, u: Array, v: Array) -> Array:
    """Compute the depth of a point inside the outline, negative outside; all in units of the object's radius."""
    if name == "disc":
        return 1 - np.hypot(u, v)
    if name == "bar":
        return np.minimum(1.6 - np.abs(u), 0.4 - np.abs(v))
    return 1 + 0.6 * np.cos(3 * np.arctan2(v, u)) - np.hypot(u, v)
