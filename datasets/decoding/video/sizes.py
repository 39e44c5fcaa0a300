"""Sizes of frames: the largest that are accepted, and scaling to a short side."""

from pathlib import Path

import cv2
from cv2.typing import MatLike as Frame

MAX_SIDE = 8192  # a small file can claim frames of gigabytes


def check_size(width: int, height: int, path: str | Path) -> None:
    """Refuse frames of more than `MAX_SIDE` pixels in width or height; raises ValueError."""
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"{path}: frames of {width}x{height}, more than {MAX_SIDE}x{MAX_SIDE}")


class Scaler:
    """Scaler of a video's frames to the size that the first one gets, should the size change in the middle."""

    def __init__(self, short_side: int | None, path: str | Path) -> None:
        self.short_side, self.path = short_side, path
        self.size: tuple[int, int] | None = None

    def __call__(self, frame: Frame) -> Frame:
        self.size = self.size or scaled_size(frame.shape[1], frame.shape[0], self.short_side)
        if max(self.size) > MAX_SIDE:
            width, height = self.size
            raise ValueError(f"{self.path}: would become {width}x{height}, more than {MAX_SIDE}x{MAX_SIDE}")
        return resize(frame, self.size)


def scaled_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """Compute (width, height) with the shorter side `short_side`, the longer one rounded to the nearest pixel."""
    if short_side is None:
        return width, height
    short = min(width, height)
    return (2 * width * short_side + short) // (2 * short), (2 * height * short_side + short) // (2 * short)


def resize(frame: Frame, size: tuple[int, int]) -> Frame:
    """Resize `frame` to `size` = (width, height): averaged when it shrinks, bicubic when it grows."""
    height, width = frame.shape[:2]
    if (width, height) == size:
        return frame
    shrinks = size[0] * size[1] < width * height
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
