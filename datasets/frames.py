"""Frame folders: which frames a video has, and reading them."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from .layouts import DONE, Layout
from .streams import Stream


def list_names(folder: Path) -> set[str]:
    """Names of the files of a folder.

    Raises:
        FileNotFoundError: If there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder, the video is not extracted")
    return {file.name for file in folder.iterdir()}


def numbers_of(names: Iterable[str], pattern: str) -> set[int]:
    """Frame numbers among file names made by `pattern`."""
    prefix, suffix = pattern.split("{:05d}")
    middles = (name[len(prefix) : -len(suffix)] for name in names if name.startswith(prefix) and name.endswith(suffix))
    return {int(middle) for middle in middles if len(middle) >= 5 and middle.isdecimal()}


def count_frames(folder: Path, names: Iterable[str], patterns: Sequence[str]) -> int:
    """Number of frames of a stream, 0 if it has no files.

    Args:
        folder: Folder of one video, for the error.
        names: Its files.
        patterns: File name of each image plane of the stream.

    Raises:
        ValueError: If a frame between 1 and the last is missing in any plane; names the file.
    """
    planes = [numbers_of(names, pattern) for pattern in patterns]
    last = max(max(numbers, default=0) for numbers in planes)
    for pattern, numbers in zip(patterns, planes, strict=True):
        if len(numbers) < last:
            gap = next(i for i in range(1, last + 1) if i not in numbers)
            raise ValueError(f"{folder / pattern.format(gap)}: missing, though frames go up to {last}")
    return last


def count_usable_frames(folder: Path, layout: Layout, needs: Collection[str]) -> int:
    """Frames 1 to n that a video can be read at.

    Flow i leads from frame i to i + 1, so a video of N frames has N - 1 flows, and N - 1 usable frames where
    flow is needed. Where it is not, it is not looked at.

    Args:
        folder: Folder of one video.
        layout: File names of the streams.
        needs: Streams that must be there, "rgb", "flow" or both.

    Raises:
        FileNotFoundError: If there is no folder, or a stream has no images.
        ValueError: If an image is missing.
    """
    names = list_names(folder)
    looked_at = ("rgb", "flow") if "flow" in needs else ("rgb",)
    counts = {stream: count_frames(folder, names, layout[stream]) for stream in looked_at}
    stated = stated_counts(folder) if DONE in names else {}
    for stream, count in counts.items():
        if stream in needs and not count:
            raise FileNotFoundError(f"{folder}: no {stream} images ({layout[stream][0].format(1)}, ...)")
        if 0 < count < stated.get(stream, 0):
            missing = folder / layout[stream][0].format(count + 1)
            raise ValueError(f"{missing}: missing, the video was extracted to {stated[stream]} {stream} images")
    if "flow" in needs and counts["rgb"] and counts["rgb"] != counts["flow"] + 1:
        short = "rgb" if counts["rgb"] <= counts["flow"] else "flow"
        raise ValueError(
            f"{folder / layout[short][0].format(counts[short] + 1)}: missing; there are {counts['rgb']} frames and "
            f"{counts['flow']} flow images, but N frames have N - 1 flows"
        )
    return counts[looked_at[-1]]


def stated_counts(folder: Path) -> dict[str, int]:
    """Images per stream that the `done` file states; other tools leave it empty."""
    pairs = [line.split() for line in (folder / DONE).read_text().splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def read_frames(folder: Path, patterns: Sequence[str], stream: Stream, numbers: Sequence[int]) -> Tensor:
    """Read frames of one stream.

    Returns:
        uint8, shape (T, C, H, W), stored channels last. RGB order; flow x, y.

    Raises:
        FileNotFoundError: If a frame is missing.
        ValueError: If a file cannot be decoded, or its size differs from the first frame's.
    """
    flag = cv2.IMREAD_COLOR_RGB if stream.channels == 3 else cv2.IMREAD_GRAYSCALE
    planes = [read_images(folder, pattern, flag, numbers) for pattern in patterns]
    frames = planes[0] if len(planes) == 1 else np.stack(planes, -1)
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def read_images(folder: Path, pattern: str, flag: int, numbers: Iterable[int]) -> np.ndarray:
    """Decode the images of one pattern, uint8 (T, H, W) or (T, H, W, 3) as OpenCV's `flag` says; raises as above."""
    images: list[np.ndarray] = []
    for number in numbers:
        path = folder / pattern.format(number)
        image = read_image(path, flag)
        if images and image.shape != images[0].shape:
            height, width = image.shape[:2]
            raise ValueError(f"{path}: {width}x{height}, unlike the other frames of the video")
        images.append(image)
    return np.stack(images)


def read_image(path: Path, flag: int) -> np.ndarray:
    """Decode one image file; `flag` is OpenCV's."""
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: missing; extract the video again") from None
    # EXIF rotation is ignored: extractors write upright frames, and Pillow, which the weights saw, ignores it.
    image = cv2.imdecode(data, flag | cv2.IMREAD_IGNORE_ORIENTATION) if data.size else None
    if image is None:
        raise ValueError(f"{path}: damaged image (empty or cut short); extract the video again")
    return image
