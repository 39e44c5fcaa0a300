"""Image decoding by OpenCV and torch, with the checks that OpenCV leaves out: truncated images and excessive sizes."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ..clips.views import View, resample

MOST_PIXELS = 8192  # of a side; a file of a few bytes can state a size that fills any memory
FLAGS = {1: cv2.IMREAD_GRAYSCALE, 3: cv2.IMREAD_COLOR_RGB}
FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # of JPEG: they state the size
BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})  # without a length
START_OF_SCAN = 0xDA
CUT_SHORT = "it is cut short"
EXTRACT = "extract the video again"


def read_file(path: Path) -> bytes:
    """Read the bytes of an image file.

    Raises FileNotFoundError if it is missing, ValueError if it cannot be read.
    """
    if Path(path).exists() and not Path(path).is_file():  # a pipe would never end
        raise unreadable_file(path, "not a file")
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise missing_file(path) from None
    except OSError as error:
        raise unreadable_file(path, str(error.strerror)) from None


def read_image(path: Path, channels: int) -> NDArray[np.uint8]:
    """Decode an image file; raises as `read_file` and `decode`."""
    return decode(read_file(path), channels, path)


def decode(data: Any, channels: int, name: Any) -> NDArray[np.uint8]:
    """Decode the image in a bytes-like object as (H, W, channels): 3 for RGB, 1 for grey levels.

    Raises ValueError, which names it, if it is damaged, or has a side of more than `MOST_PIXELS`.
    """
    data = memoryview(data)
    check_size(data, name)
    # EXIF rotation is ignored: extractors write upright frames, and Pillow, which the weights saw, ignores it.
    flags = FLAGS[channels] | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise damaged(name, "its pixels cannot be decoded")
    return np.asarray(image, np.uint8).reshape(*image.shape[:2], channels)


def check_size(data: memoryview, name: Any) -> None:
    """Raise ValueError for data that is no image, is truncated, or has a side of more than `MOST_PIXELS`."""
    if not data.nbytes:
        raise damaged(name, "it is empty")
    width, height = jpeg_size(data, name) if data[:2] == b"\xff\xd8" else size_of(data, name)
    if max(width, height) > MOST_PIXELS:
        raise damaged(name, f"{width}x{height} pixels, more than {MOST_PIXELS} are refused")


def jpeg_size(data: memoryview, name: Any) -> tuple[int, int]:
    """Read width and height of a JPEG image that has an end."""
    size, place = None, 2
    for marker, begin, end in segments(data, name):
        if marker in FRAME_MARKERS:
            size = stated_size(data, begin)
        place = end
    if size is None or 0 in size:
        raise damaged(name, "it states no size")
    if data[-2:] != b"\xff\xd9" and b"\xff\xd9" not in bytes(data[place:]):
        raise damaged(name, CUT_SHORT)
    return size


def segments(data: memoryview, name: Any) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end of the segments of a JPEG header, the first scan's the last."""
    place, marker = 2, 0
    while marker != START_OF_SCAN:
        while data[place : place + 2] == b"\xff\xff":  # fill bytes
            place += 1
        if place + 4 > len(data):
            raise damaged(name, CUT_SHORT)
        if data[place] != 0xFF:
            raise damaged(name, "no JPEG marker where there must be one")
        marker, place = data[place + 1], place + 2
        if marker not in BARE_MARKERS:
            begin, place = place + 2, place + int.from_bytes(data[place : place + 2])
            yield marker, begin, place


def stated_size(data: bytes | memoryview, begin: int) -> tuple[int, int]:
    """Read width and height from the segment of a JPEG header that begins there, a frame's."""
    return int.from_bytes(data[begin + 3 : begin + 5]), int.from_bytes(data[begin + 1 : begin + 3])


def size_of(data: memoryview, name: Any) -> tuple[int, int]:
    """Read width and height of an image of any other format."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise damaged(name, "no image format that is known") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise damaged(name, f"more than {MOST_PIXELS} pixels are refused") from None


def resample_frames(frames: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
    """Resample decoded frames (T, H, W, C) to a view, as (C, T, height, width)."""
    count, grey = len(frames), frames.shape[3] == 1
    images = in_fours(frames) if grey else np.ascontiguousarray(frames)
    shown = resample(torch.from_numpy(images).permute(0, 3, 1, 2), view)
    by_channel = shown.reshape(1, -1, *shown.shape[2:])[:, :count] if grey else shown.transpose(0, 1)
    return by_channel.contiguous().numpy()


def in_fours(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Group grey frames (T, H, W, 1) as (T / 4, H, W, 4), the last repeated: torch takes half the time for them."""
    fours = [[frames[min(i + k, len(frames) - 1)] for k in range(4)] for i in range(0, len(frames), 4)]
    return np.stack([cv2.merge([np.ascontiguousarray(frame) for frame in four]) for four in fours])


def missing_file(name: Any) -> FileNotFoundError:
    """Return the error about a file that is not there."""
    return FileNotFoundError(f"{name}: missing; {EXTRACT}")


def unreadable_file(name: Any, reason: str) -> ValueError:
    """Return the error about a file that the system cannot read."""
    return ValueError(f"{name}: cannot be read ({reason})")


def damaged(name: Any, reason: str) -> ValueError:
    """Return the error about a file that is not the image it should be."""
    return ValueError(f"{name}: damaged image ({reason}); {EXTRACT}")


def other_size(name: Any, size: str) -> ValueError:
    """Return the error about an image of another size than the first one of its clip."""
    return ValueError(f"{name}: {size}, unlike the other frames of the video")
