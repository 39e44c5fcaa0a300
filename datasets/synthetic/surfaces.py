"""Surfaces of made-up things: textures, colours of equal brightness, and looking up a texture."""

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

LUMA = np.array((0.114, 0.587, 0.299))  # of BGR, as OpenCV converts to grey


def texture(rng: np.random.Generator, side: int, cell: float) -> Array:
    """Draw smooth colour noise of about unit variance, shape (side, side, 3); `cell` is its grain in pixels."""
    grid = rng.standard_normal((int(side / cell) + 1,) * 2 + (3,)).astype(np.float32)
    return np.asarray(cv2.resize(1.3 * grid, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def cloth(rng: np.random.Generator, side: int, cell: float) -> Array:
    """Draw noise as `texture` does, more in brightness than in colour."""
    noise = texture(rng, side, cell)
    return np.asarray(0.8 * noise[..., :1] + 0.5 * noise, np.float32)


def sample(image: Array, x: Array, y: Array) -> Array:
    """Look up (H, W, 3) bilinearly at pixel coordinates of any one shape; reflected beyond the borders."""
    maps = x.astype(np.float32), y.astype(np.float32)
    warped = cv2.remap(image.astype(np.float32), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(warped, np.float32)


def hue(angle: float, chroma: float, grey: float) -> NDArray[np.float64]:
    """Return the colour (3,), BGR, of a hue in radians: all hues look alike once they are grey."""
    colour = chroma * np.cos(angle - 2 * np.pi / 3 * np.arange(3))
    return grey + colour - LUMA @ colour
