"""Textures without files: noise of several octaves, and occluding discs, whose statistics are those of photographs."""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]
Points = NDArray[np.complex128]  # x + iy, pixels

GREY = 128.0
OCTAVES = (3, 6, 12, 24, 48)  # grain in pixels
CONTRAST = 16.0  # standard deviation of an octave, grey levels: 36 for all of them
SURFACE = 2.0  # the same on the surface of a disc
SMALLEST = 3.0  # radius of a disc, pixels
LENS = 0.7  # standard deviation of the blur of its edge, pixels
COVER = 5.0  # times that the discs would fill the image if they did not overlap


def octaves(rng: np.random.Generator, height: int, width: int) -> Image:
    """Generate noise of equal power in each octave, as photographs have it; grey levels, not clipped."""
    return GREY + CONTRAST * noise(rng, height, width)


def leaves(rng: np.random.Generator, height: int, width: int) -> Image:
    """Generate dead leaves: opaque discs with radii distributed as r^-3 (Lee, Mumford, Huang, IJCV 2001), grey levels.

    Flat regions, sharp edges and occlusion corners; a little noise keeps the flow from being undefined.
    """
    largest = max(height, width) / 4
    mean_area = 2 * np.pi * SMALLEST**2 * np.log(largest / SMALLEST)
    count = int(COVER * height * width / mean_area)
    # Inverse of the cumulative distribution of r^-3, cut at `largest`.
    share = rng.uniform(size=count) * (1 - (SMALLEST / largest) ** 2)
    radii = SMALLEST / np.sqrt(1 - share)
    centres = rng.uniform(0, (width, height), (count, 2))
    greys = rng.uniform(30, 225, count)
    canvas = np.full((2 * height, 2 * width), GREY)  # drawn at twice the size, for edges between pixels
    for (x, y), radius, grey in zip(centres, radii, greys, strict=True):
        cv2.circle(canvas, (round(2 * x), round(2 * y)), round(2 * radius), grey, cv2.FILLED)
    image = cv2.GaussianBlur(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), (0, 0), LENS)
    return image + SURFACE * noise(rng, height, width)


def noise(rng: np.random.Generator, height: int, width: int) -> Image:
    """Sum octaves of about unit variance each."""
    image = np.zeros((height, width))
    for cell in OCTAVES:
        grid = rng.standard_normal((height // cell + 2, width // cell + 2))
        image += 1.3 * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return image


def bicubic(image: Image, points: Points) -> Image:
    """Sample `image` at `points` by Catmull-Rom interpolation; its border pixels continue outside.

    Not cv2.remap, which rounds coordinates to 1/32 pixel: that would be an error of the flow.
    """
    corner = np.floor(points.real), np.floor(points.imag)
    columns, rows = (whole.astype(np.intp) for whole in corner)
    across, down = cubic_weights(points.real - corner[0]), cubic_weights(points.imag - corner[1])
    value = np.zeros(points.shape)
    for j in range(4):
        row = np.clip(rows + j - 1, 0, image.shape[0] - 1)
        for i in range(4):
            value += down[j] * across[i] * image[row, np.clip(columns + i - 1, 0, image.shape[1] - 1)]
    return value


def cubic_weights(t: Image) -> tuple[Image, Image, Image, Image]:
    """Compute the weights of the four neighbours of a place `t` in [0, 1) between the second and the third."""
    return (
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    )


TEXTURES = {"noise": octaves, "leaves": leaves, "sensor": leaves}
