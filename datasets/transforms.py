"""Clip transforms: `transform(clip, rng) -> clip`, with one draw per clip.

A `Clip` maps a stream to a uint8 tensor (T, C, H, W). Geometry is applied to all streams alike, so RGB and
flow stay aligned. Resizing is antialiased bilinear, the filter of Pillow that the published weights saw.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch.nn.functional as F
from torch import Tensor

Clip = dict[str, Tensor]
Transform = Callable[[Clip, np.random.Generator], Clip]

SCALES = tuple(2 ** (-i / 4) for i in range(5))  # 1, 0.84, 0.71, 0.59, 0.5
POSITIONS = ("c", "tl", "tr", "bl", "br")


class Compose:
    """Apply transforms in order."""

    def __init__(self, *transforms: Transform) -> None:
        self.transforms = transforms

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        for transform in self.transforms:
            clip = transform(clip, rng)
        return clip


def hflip(clip: Clip) -> Clip:
    """Mirror left-right. Mirroring also reverses horizontal motion: 255 - x is a change of sign about 127.5."""
    flipped = {name: x.flip(-1) for name, x in clip.items()}
    if "flow" in flipped:
        flipped["flow"][:, 0] = 255 - flipped["flow"][:, 0]
    return flipped


class RandomHorizontalFlip:
    """Mirror the clip with probability `p`."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        return hflip(clip) if rng.random() < self.p else clip


class MultiScaleCornerCrop:
    """Crop a square at a random scale of the short side, in a corner or the centre, and resize it.

    Args:
        size: Side of the result, in pixels.
        scales: Sides of the crop over the short side, in (0, 1].

    Raises:
        ValueError: If a scale is outside (0, 1].
    """

    def __init__(self, size: int, scales: Sequence[float] = SCALES) -> None:
        if not scales or min(scales) <= 0 or max(scales) > 1:
            raise ValueError(f"--crop_scales must lie in (0, 1], got {list(scales)}")
        self.size, self.scales = size, tuple(scales)

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        scale = self.scales[rng.integers(len(self.scales))]
        position = POSITIONS[rng.integers(len(POSITIONS))]
        return corner_crop(clip, self.size, scale, position)


def corner_crop(clip: Clip, size: int, scale: float, position: str) -> Clip:
    """Crop the square of side `scale` times the short side at `position` and resize it to `size`."""
    cropped = {}
    for name, x in clip.items():
        height, width = x.shape[-2:]
        top, left, side = square(height, width, int(min(height, width) * scale), position)
        cropped[name] = resize(x[..., top : top + side, left : left + side], (size, size))
    return cropped


def square(height: int, width: int, side: int, position: str) -> tuple[int, int, int]:
    """Top, left and side of a crop. In the centre an odd side loses a pixel, as in the published pipeline."""
    if position == "c":
        half = side // 2
        return height // 2 - half, width // 2 - half, 2 * half
    return (0 if position[0] == "t" else height - side), (0 if position[1] == "l" else width - side), side


class CenterCrop:
    """Scale the short side to `size` and cut out the central square."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        return {name: self.crop(x) for name, x in clip.items()}

    def crop(self, x: Tensor) -> Tensor:
        """Crop frames (T, C, H, W) to (T, C, size, size)."""
        height, width = x.shape[-2:]
        short = min(height, width)
        x = resize(x, (int(self.size * height / short), int(self.size * width / short)))
        top, left = (round((side - self.size) / 2) for side in x.shape[-2:])
        return x[..., top : top + self.size, left : left + self.size]


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Antialiased bilinear resize of uint8 images (T, C, H, W) to (T, C, *size)."""
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size, mode="bilinear", antialias=True)


def to_model(clip: Clip, rng: np.random.Generator) -> Clip:
    """Channels first: (T, C, H, W) -> (C, T, H, W)."""
    return {name: x.transpose(0, 1).contiguous() for name, x in clip.items()}
