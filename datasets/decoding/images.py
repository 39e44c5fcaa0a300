"""Reading views of image files, of images in memory and of decoded frames, natively or in Python.

There are two implementations. The native one decodes JPEG only where the view looks, equals Pillow byte for byte, and
releases the GIL. The one in Python decodes whole images by OpenCV, resizes them in one batch by torch, differs by one
level of 255 at most, reads any format, and is always there.
"""

import logging
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clips.views import Placement, View
from . import pixels
from .jpeg import native
from .jpeg.clip_records import FOREIGN, MISSING, OTHER_SIZE, UNREADABLE, ImageError, Images, in_memory
from .timing import spent

log = logging.getLogger(__name__)

DECODERS = ("auto", "native", "python")
Place = Placement | Callable[[int, int], View]  # height and width of the images -> what is shown of them
Pixels = NDArray[np.uint8]


class Decode(NamedTuple):
    """Options of decoding images."""

    decoder: str = "auto"  # "native", "python", or "auto": the native one where it is
    # Decode JPEG at half the size where what is shown is at most half as large; differs by 0.2 levels in the mean.
    # For the native decoder only.
    fast: bool = False


DEFAULT = Decode()


def read_images(planes: Sequence[Sequence[Path]], channels: int, placement: Place, decode: Decode = DEFAULT) -> Pixels:
    """Decode what a placement shows of image files.

    Args:
        planes: Paths of T images for each image plane: one plane for RGB, x and y for flow. They are of one size,
            that of the first.
        channels: Of an image: 3 for RGB, 1 for grey levels.
        placement: Height and width of the first image -> view; called once.
        decode: How.

    Returns:
        Shape (C, T, height, width), uint8, without gaps; C is planes times channels.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one cannot be read or decoded, or its size differs from the first one's.
    """
    names = [path for plane in planes for path in plane]
    place = cache(lambda height, width: placement(height, width))
    if uses_native(decode):
        try:
            with spent("read"):
                images = native.read_files([os.fsencode(path) for path in names])
            return decode_natively(images, len(planes), channels, place, decode.fast)
        except ImageError as error:
            if error.code != FOREIGN:
                raise file_error(error, names) from None
    with spent("read"):
        data = [pixels.read_file(path) for path in names]
    return decode_in_python(data, names, len(planes), channels, place)


def decode_images(
    planes: Sequence[Sequence[Any]],
    channels: int,
    placement: Place,
    decode: Decode = DEFAULT,
    names: Sequence[Any] | None = None,
) -> Pixels:
    """Decode what a placement shows of images in memory, bytes-like objects; as `read_images`.

    The names of all planes, one after the other, are for errors.
    """
    data = [image for plane in planes for image in plane]
    names = names if names is not None else [f"image {i + 1}" for i in range(len(data))]
    place = cache(lambda height, width: placement(height, width))
    if uses_native(decode):
        try:
            return decode_natively(in_memory(data), len(planes), channels, place, decode.fast)
        except ImageError as error:
            if error.code != FOREIGN:
                raise file_error(error, names) from None
    return decode_in_python(data, names, len(planes), channels, place)


def resample_frames(frames: Pixels, view: View, decode: Decode = DEFAULT) -> Pixels:
    """Resample decoded frames (T, H, W, C) to a view, as (C, T, height, width) without gaps."""
    with spent("transform"):
        if uses_native(decode):
            return native.resample(frames, view)
        return pixels.resample_frames(frames, view)


def uses_native(decode: Decode) -> bool:
    """Whether the native decoder is to be used and available; raises ValueError for "native" where it is not."""
    if decode.decoder not in DECODERS:
        raise ValueError(f"decoder {decode.decoder!r} is none of {', '.join(DECODERS)}")
    if decode.decoder == "python":
        return False
    reason = native_is_missing()
    if reason and decode.decoder == "native":
        raise ValueError(f"no native decoder: {reason}; or use the decoder python")
    return not reason


@cache
def native_is_missing() -> str:
    """Return why there is no native decoder, "" if there is; logged once, for loading takes twice as long without."""
    reason = native.missing()
    if reason:
        log.warning("images are decoded in Python, which takes twice as long: %s", reason)
    return reason


def decode_natively(images: Images, planes: int, channels: int, place: Place, fast: bool) -> Pixels:
    """Decode as `read_images`, by the native library; raises `ImageError`."""
    with spent("decode"):
        size = native.image_size(images)
        view, frames = place(*size), images.number // planes
        out = np.empty((planes * channels, frames, view.window.height, view.window.width), np.uint8)
        if channels == 1:  # planes lie behind each other, as channels do
            native.decode(images, 1, size, view, out, fast)
            return out
        for i in range(planes):
            part = out[i * channels : (i + 1) * channels]
            native.decode(images.part(i * frames, frames), channels, size, view, part, fast)
        return out


def file_error(error: ImageError, names: Sequence[Any]) -> ValueError | FileNotFoundError:
    """Return the error about a file."""
    name = names[error.index]
    if error.code == MISSING:
        return pixels.missing_file(name)
    if error.code == UNREADABLE:
        return pixels.unreadable_file(name, error.reason)
    if error.code == OTHER_SIZE:
        return pixels.other_size(name, error.reason)
    return pixels.damaged(name, error.reason)


def decode_in_python(data: Sequence[Any], names: Sequence[Any], planes: int, channels: int, place: Place) -> Pixels:
    """Decode as `read_images`, by OpenCV and torch; only the box of each image is kept."""
    frames = len(data) // planes
    with spent("decode"):
        first = pixels.decode(data[0], channels, names[0])
        height, width = first.shape[:2]
        view = place(height, width)
        top, left, rows, columns = view.box
        boxes = np.empty((len(data), rows, columns, channels), np.uint8)
        for i, (image, name) in enumerate(zip(data, names, strict=True)):
            image = pixels.decode(image, channels, name) if i else first
            if image.shape != first.shape:
                raise pixels.other_size(name, f"{image.shape[1]}x{image.shape[0]}")
            boxes[i] = image[top : top + rows, left : left + columns]
    with spent("transform"):
        shown = pixels.resample_frames(boxes, view._replace(box=view.box._replace(top=0, left=0)))  # C T*planes h w
        by_plane = shown.reshape(channels, planes, frames, *shown.shape[2:]).swapaxes(0, 1)
        return np.ascontiguousarray(by_plane).reshape(planes * channels, frames, *shown.shape[2:])
