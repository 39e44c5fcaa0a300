"""Conditions that make a made-up video hard beside its action: camera, light, things that pass by."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .layers import Layer, Points, grid
from .shapes import block, disc, star
from .surfaces import Array, cloth, hue

OUTLINES = (disc, star, block(1.8, 0.8, 0.1))


@dataclass(frozen=True)
class Conditions:
    """Largest strengths; lengths in pixels of a picture of 64 x 64."""

    wall: tuple[float, float]  # least and most brightness of the backdrop, grey levels
    clutter: float  # standard deviation of its texture, grey levels
    tones: tuple[float, ...]  # brightness of skin and clothes, one of these each, grey levels
    pan: float  # speed of the camera, pixels per frame
    shake: float  # its trembling, standard deviation, pixels
    zoom: float  # growth per frame
    roll: float  # radians to either side
    drift: float  # own speed of the backdrop, pixels per frame
    gain: float  # share by which the light becomes stronger or weaker
    slope: float  # share by which it differs from one side of the picture to the other
    flicker: float  # share by which it differs from frame to frame, standard deviation
    passers: tuple[int, int]  # things that pass by, least and most
    before: float  # share of them that pass before the figure
    quantiser: tuple[int, int]  # coarseness of MPEG-4's coefficients, least and most, in [1, 31]


@dataclass(frozen=True)
class Camera:
    """Its path, (T,) each: `turn` is zoom and roll, `pan` where it looks, in pixels from the middle of the scene."""

    turn: Points
    pan: Points

    def see(self, layer: Layer, size: int, nearness: float = 1.0) -> Layer:
        """Return a layer of the scene as the picture shows it; far ones, of small `nearness`, move less."""
        return layer.moved(self.turn, (size - 1) * (0.5 + 0.5j) - nearness * self.turn * self.pan)


@dataclass(frozen=True)
class Light:
    """`gain` of each frame, and `slope`, the share by which it grows over a picture along x and y; (T,) each."""

    gain: NDArray[np.float64]
    slope: Points

    def shine(self, pixels: Array) -> NDArray[np.uint8]:
        """Light frames (T, H, W, 3)."""
        size = pixels.shape[1]
        place = (grid(size) - (size - 1) * (0.5 + 0.5j)) / size
        share = self.gain[:, None, None] * (1 + (place * self.slope.conj()[:, None, None]).real)
        return np.clip(np.rint(pixels * share[..., None]), 0, 255).astype(np.uint8)

    def reversed(self) -> "Light":
        return replace(self, gain=self.gain[::-1], slope=self.slope[::-1])


def draw_swing(rng: np.random.Generator, frames: int) -> NDArray[np.float64]:
    """Draw a slow swing within about [-1, 1], (T,)."""
    t = np.arange(frames)
    waves = [np.sin(2 * np.pi * (t / rng.uniform(*period) + rng.uniform())) for period in ((18, 40), (9, 18))]
    return 0.7 * waves[0] + 0.3 * waves[1]


def draw_camera(rng: np.random.Generator, frames: int, unit: float, conditions: Conditions) -> Camera:
    """Draw a camera's path; `unit` is the picture's side over 64."""
    t = np.arange(frames) - (frames - 1) / 2
    speed = rng.uniform(-1, 1) + 0.5j * rng.uniform(-1, 1)
    swing = draw_swing(rng, frames) + 0.5j * draw_swing(rng, frames)
    tremble = rng.normal(size=frames + 2) + 1j * rng.normal(size=frames + 2)
    tremble = (tremble[:-2] + 2 * tremble[1:-1] + tremble[2:]) / np.sqrt(6)
    pan = conditions.pan * (speed * t + 3 * swing) + conditions.shake * tremble
    zoom = np.exp(conditions.zoom * rng.uniform(-1, 1) * t)
    return Camera(unit * zoom * np.exp(1j * conditions.roll * draw_swing(rng, frames)), pan)


def draw_light(rng: np.random.Generator, frames: int, conditions: Conditions) -> Light:
    """Draw a light."""
    gain = 1 + conditions.gain * draw_swing(rng, frames) + conditions.flicker * rng.normal(size=frames)
    side = np.exp(1j * (rng.uniform(0, 2 * np.pi) + 0.5 * draw_swing(rng, frames)))
    return Light(gain, conditions.slope * rng.uniform() * side)


def draw_passers(rng: np.random.Generator, frames: int, conditions: Conditions) -> tuple[list[Layer], list[Layer]]:
    """Draw things that pass by: those behind the figure, and those before it."""
    sides: tuple[list[Layer], list[Layer]] = [], []
    t = np.arange(frames) - (frames - 1) / 2
    for _ in range(rng.integers(conditions.passers[0], conditions.passers[1] + 1)):
        before = rng.uniform() < conditions.before
        place = rng.uniform(-26, 26) + 1j * rng.uniform(-28, 14)
        speed = rng.uniform(0.4, 1.4) * np.exp(1j * rng.uniform(0, 2 * np.pi))
        radius = rng.uniform(2.5, 4.5) if before else rng.uniform(4, 7)
        surface = hue(rng.uniform(0, 2 * np.pi), 30, rng.uniform(60, 190)) + 22 * cloth(rng, 48, 3)
        turn = np.exp(1j * (rng.uniform(0, 2 * np.pi) + rng.uniform(-0.08, 0.08) * t))
        path = place + speed * t + 2j * draw_swing(rng, frames)
        outline = OUTLINES[rng.integers(len(OUTLINES))]
        sides[before].append(Layer(outline, (0, 1.1), surface.astype(np.float32), radius, radius * turn, path))
    return sides
