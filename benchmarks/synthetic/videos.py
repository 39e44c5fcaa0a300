"""Synthetic videos in the form of an extraction: JPEG frames and flow whose file sizes are those of real ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic.textures import Image, leaves, noise

WIDTH, HEIGHT = 341, 256
SIZES = ((2 * HEIGHT, 2 * WIDTH), (HEIGHT, WIDTH), (HEIGHT, WIDTH))  # of the textures
FRAMES = (60, 110)  # of a video, at least and below
LENS = (1.3, 3.3)  # standard deviation of the blur of a video, pixels
GRAIN = 0.9  # standard deviation of the noise of the sensor, grey levels
RIPPLE = 0.3  # standard deviation of the motion within a surface, stored levels
TINT = (0.8, 0.9, 1.0)  # of blue, green and red
RGB_QUALITY, FLOW_QUALITY = 90, 95
RGB_NAME, FLOW_NAMES = "{:05d}.jpg", ("TVL1jpg_x_{:05d}.jpg", "TVL1jpg_y_{:05d}.jpg")  # layout sts

Pixels = NDArray[np.uint8]


def write_videos(root: Path, count: int, seed: int = 0) -> dict[str, int]:
    """Write folders of frames and flow, in the layout sts, below a class.

    Returns frames by path of the video; there is one flow less.
    """
    counts = {}
    for number in range(count):
        path = f"wave/video{number:03d}"
        rng = np.random.default_rng((seed, number))
        (root / path).mkdir(parents=True)
        counts[path] = int(rng.integers(*FRAMES))
        for i, (frame, flow) in enumerate(moving_discs(rng, counts[path]), 1):
            write(root / path / RGB_NAME.format(i), frame, RGB_QUALITY)
            for name, axis in zip(FLOW_NAMES, flow, strict=True):
                if i < counts[path]:
                    write(root / path / name.format(i), axis, FLOW_QUALITY)
    return counts


def write(path: Path, image: Pixels, quality: int) -> None:
    """Write a JPEG file, its chroma subsampled by two as ffmpeg does."""
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def moving_discs(rng: np.random.Generator, frames: int) -> Iterator[tuple[Pixels, list[Pixels]]]:
    """Yield frames (H, W, 3) BGR of textured discs before a panning background, and flow x and y (H, W) as levels."""
    lens = rng.uniform(*LENS)
    background, *surfaces = (np.asarray(cv2.GaussianBlur(leaves(rng, *size), (0, 0), lens), float) for size in SIZES)
    place = rng.uniform((80, 60), (WIDTH - 80, HEIGHT - 60), (2, 2))
    speed, pan = rng.uniform(-2, 2, (2, 2)), rng.uniform(-1, 1, 2)
    ripples = [cv2.GaussianBlur(noise(rng, HEIGHT, WIDTH), (0, 0), 4) for _ in range(2)]  # motion within a surface
    for t in range(frames):
        grey = sample(background, 80 + pan * t)
        flow = [-pan[axis] + np.zeros((HEIGHT, WIDTH)) for axis in range(2)]
        for surface, start, step in zip(surfaces, place, speed, strict=True):
            centre = start + step * t
            cover: NDArray[Any] = disc(centre)
            grey = cover * sample(surface, start - centre, cv2.BORDER_REFLECT) + (1 - cover) * grey
            flow = [cover * step[axis] + (1 - cover) * flow[axis] for axis in range(2)]
        grey = grey[..., None] * TINT + rng.normal(0, GRAIN, (HEIGHT, WIDTH, 1))
        levels = [127.5 + 255 / 40 * axis + RIPPLE * w for axis, w in zip(flow, ripples, strict=True)]
        yield to_bytes(grey), [to_bytes(axis) for axis in levels]


def sample(image: Image, corner: NDArray[Any], border: int = cv2.BORDER_REFLECT) -> Image:
    """Sample a frame of `image` at the corner `corner` (left, top), which need not be whole."""
    matrix = np.array([[1.0, 0, -corner[0]], [0, 1.0, -corner[1]]])
    return np.asarray(cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=border))


def disc(centre: NDArray[Any]) -> Image:
    """Return the coverage of a disc, 1 within and 0 outside."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.clip(50.5 - np.hypot(x - centre[0], y - centre[1]), 0, 1)


def to_bytes(levels: Image) -> Pixels:
    """Round and clip to uint8."""
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
