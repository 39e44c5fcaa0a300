"""Image pairs with exact flow: textured layers that move by similarities, rendered in float64, rounded to 8 bit.

A point is a complex number x + iy in pixels of the previous image, so that a similarity is `p + rate * p + shift`:
`shift` moves, the real part of `rate` zooms, the imaginary part turns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks.synthetic.textures import TEXTURES, Image, Points, bicubic
from flow import encode

OBJECTS = 3
SENSOR_NOISE = 2.0  # standard deviation of texture "sensor", grey levels
SAMPLES = (-0.25 - 0.25j, 0.25 - 0.25j, -0.25 + 0.25j, 0.25 + 0.25j)  # 2 x 2 places within a pixel


@dataclass(frozen=True)
class Scene:
    """Two images and the exact flow between them."""

    previous: NDArray[np.uint8]  # uint8 (H, W)
    following: NDArray[np.uint8]  # uint8 (H, W)
    flow: NDArray[np.float32]  # exact motion of what each pixel's centre shows, float32 (H, W, 2), pixels, x first
    # Whether `following` shows it too, bool (H, W); False where it is covered or out of the image.
    visible: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A textured surface and its motion; its outline is `radius * (1 + 0.25 cos(lobes * angle))` about `centre`.

    `texture` begins at the point -margin - i margin.
    """

    texture: Image
    margin: int
    rate: complex
    shift: complex
    centre: complex = 0
    radius: float = np.inf
    lobes: int = 0

    def displacement(self, points: Points) -> Points:
        """Return the displacement of `points` of the previous image."""
        return self.rate * points + self.shift

    def origin(self, points: Points) -> Points:
        """Return the previous positions of `points` of the following image."""
        return (points - self.shift) / (1 + self.rate)

    def covers(self, points: Points) -> NDArray[np.bool_]:
        """Whether `points` of the previous image lie within the outline."""
        arm = points - self.centre
        return np.abs(arm) <= self.radius * (1 + 0.25 * np.cos(self.lobes * np.angle(arm)))


def make_scene(seed: int, height: int = 256, width: int = 340, speed: float = 5.0, texture: str = "noise") -> Scene:
    """Render a moving background and three objects that move, turn and grow in front of it; sides are >= 16 pixels.

    The fastest point of each object moves at `speed`, pixels per frame; nothing is faster. Textures are "noise",
    "leaves" or "sensor": leaves seen by a camera that stands still and adds noise; another one raises ValueError.
    """
    if texture not in TEXTURES:
        raise ValueError(f"texture {texture!r} does not exist; choose from {', '.join(TEXTURES)}")
    rng = np.random.default_rng([seed, list(TEXTURES).index(texture)])
    points, side = grid(height, width), min(height, width)
    background = 0.0 if texture == "sensor" else speed * rng.uniform(0.3, 1)
    layers = [moving(surface(rng, texture, height, width, speed), rng, points, background)]
    for _ in range(OBJECTS):
        shape = replace(
            surface(rng, texture, height, width, speed),
            centre=complex(rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height),
            radius=rng.uniform(0.12, 0.22) * side,
            lobes=int(rng.integers(0, 5)),
        )
        layers.append(moving(shape, rng, points[shape.covers(points)], speed))
    return render(layers, height, width, rng, SENSOR_NOISE if texture == "sensor" else 0.0)


def translation(
    dx: float, dy: float, height: int = 64, width: int = 80, seed: int = 0, texture: str = "noise"
) -> Scene:
    """Render a textured image that moves by (dx, dy) pixels; for whole numbers the pixels are the same, moved."""
    return pure(0, complex(dx, dy), height, width, seed, texture)


def rotation(degrees: float, height: int = 64, width: int = 80, seed: int = 0, texture: str = "noise") -> Scene:
    """Render a textured image that turns about its middle, from the x to the y axis: clockwise on a screen."""
    return pure(np.exp(1j * np.radians(degrees)) - 1, 0, height, width, seed, texture)


def zoom(factor: float, height: int = 64, width: int = 80, seed: int = 0, texture: str = "noise") -> Scene:
    """Render a textured image that grows by `factor` > 0 about its middle."""
    return pure(factor - 1, 0, height, width, seed, texture)


def pure(rate: complex, shift: complex, height: int, width: int, seed: int, texture: str) -> Scene:
    """Render a single surface that moves by `rate * (p - middle) + shift`."""
    rng = np.random.default_rng(seed)
    middle = complex(width - 1, height - 1) / 2
    layer = surface(rng, texture, height, width, abs(shift) + abs(rate / (1 + rate)) * abs(middle))
    return render([replace(layer, rate=rate, shift=shift - rate * middle)], height, width, rng)


def surface(rng: np.random.Generator, texture: str, height: int, width: int, speed: float) -> Layer:
    """Return a layer at rest, with a margin for the pixels that enter at that speed."""
    margin = int(np.ceil(1.5 * speed)) + 4
    return Layer(
        texture=TEXTURES[texture](rng, height + 2 * margin, width + 2 * margin), margin=margin, rate=0, shift=0
    )


def moving(layer: Layer, rng: np.random.Generator, points: Points, speed: float) -> Layer:
    """Return `layer` with a random motion whose longest displacement over `points` is `speed`."""
    middle, reach = points.mean(), np.abs(points - points.mean()).max()
    rate = complex(*rng.normal(0, 0.3, 2)) / reach
    shift = np.exp(2j * np.pi * rng.uniform()) - rate * middle
    longest = np.abs(rate * points + shift).max()
    return replace(layer, rate=rate * speed / longest, shift=shift * speed / longest)


def render(
    layers: Sequence[Layer], height: int, width: int, rng: np.random.Generator, sensor_noise: float = 0.0
) -> Scene:
    """Render the images, flow and visibility of layers, back to front."""
    points = grid(height, width)
    images = []
    for moved in (False, True):
        image = np.mean([grey_levels(layers, points + place, moved) for place in SAMPLES], axis=0)
        image += sensor_noise * rng.standard_normal(image.shape)
        images.append(np.clip(np.rint(image), 0, 255).astype(np.uint8))
    front = front_layer(layers, points, moved=False)
    displacement = np.select([front == i for i in range(len(layers))], [layer.displacement(points) for layer in layers])
    target = points + displacement
    inside = (target.real >= 0) & (target.real <= width - 1) & (target.imag >= 0) & (target.imag <= height - 1)
    flow = np.stack([displacement.real, displacement.imag], axis=-1).astype(np.float32)
    return Scene(images[0], images[1], flow, inside & (front_layer(layers, target, moved=True) == front))


def grid(height: int, width: int) -> Points:
    """Return the centres of all pixels, (H, W)."""
    return np.arange(width) + 1j * np.arange(height)[:, None]


def front_layer(layers: Sequence[Layer], points: Points, moved: bool) -> NDArray[np.intp]:
    """Return the index of the visible layer at `points` of the previous or, if `moved`, of the following image."""
    front = np.zeros(points.shape, np.intp)
    for i, layer in enumerate(layers):
        front[layer.covers(layer.origin(points) if moved else points)] = i
    return front


def grey_levels(layers: Sequence[Layer], points: Points, moved: bool) -> Image:
    """Return the grey levels at `points`, unrounded."""
    levels = np.zeros(points.shape)
    for layer in layers:
        origins = layer.origin(points) if moved else points
        seen = layer.covers(origins)
        levels[seen] = bicubic(layer.texture, origins[seen] + layer.margin * (1 + 1j))
    return levels


def end_point_error(flow: ArrayLike, truth: ArrayLike, mask: NDArray[np.bool_] | None = None) -> float:
    """Compute the mean length of the difference of two flows (..., 2), over all pixels or those of `mask`."""
    error = np.linalg.norm(np.asarray(flow, np.float64) - np.asarray(truth, np.float64), axis=-1)
    return float(error.mean() if mask is None else error[mask].mean())


def grey_difference(a: ArrayLike, b: ArrayLike, bound: float = 20.0) -> tuple[float, float]:
    """Compute the mean absolute difference of stored flows in grey levels, and the fraction within one level."""
    levels = [encode(np.asarray(flow), bound, "round").astype(int) for flow in (a, b)]
    difference = np.abs(levels[0] - levels[1])
    return float(difference.mean()), float((difference <= 1).mean())
