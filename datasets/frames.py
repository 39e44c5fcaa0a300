"""Frame folders: which frames a video has, and reading them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from .layouts import DONE, Layout
from .streams import Stream


def list_numbers(folder: Path, patterns: Sequence[str]) -> list[set[int]]:
    """Frame numbers present for each file name pattern, from one listing of the folder."""
    regexes = [re.compile(re.escape(p).replace(r"\{:05d\}", r"(\d{5,})") + "$") for p in patterns]
    names = [file.name for file in folder.iterdir()]
    return [{int(match[1]) for name in names if (match := regex.match(name))} for regex in regexes]


def count_frames(folder: Path, patterns: Sequence[str]) -> int:
    """Number of frames of a stream, 0 if it has no files.

    Args:
        folder: Folder of one video.
        patterns: File name of each image plane of the stream.

    Raises:
        ValueError: If a frame between 1 and the last is missing in any plane; names the file.
    """
    planes = list_numbers(folder, patterns)
    last = max((max(numbers, default=0) for numbers in planes), default=0)
    for pattern, numbers in zip(patterns, planes, strict=True):
        if len(numbers) < last:
            gap = next(i for i in range(1, last + 1) if i not in numbers)
            raise ValueError(f"{folder / pattern.format(gap)}: missing, though frames go up to {last}")
    return last


def count_usable_frames(folder: Path, layout: Layout, needs_flow: bool) -> int:
    """Frames 1 to n that every stream of a video can be read at.

    Flow i leads from frame i to i + 1, so a video of N frames has N - 1 flows, and N - 1 usable frames where
    flow counts.

    Args:
        folder: Folder of one video.
        layout: File names of the streams.
        needs_flow: Whether flow must be there too.

    Raises:
        FileNotFoundError: If there is no folder, or no frames.
        ValueError: If a frame is missing.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder, the video is not extracted")
    counts = {stream: count_frames(folder, patterns) for stream, patterns in layout.items()}
    for stream, stated in stated_counts(folder).items():
        if counts.get(stream, stated) < stated:
            missing = layout[stream][0].format(counts[stream] + 1)
            raise ValueError(f"{folder / missing}: missing, the video was extracted to {stated} {stream} frames")
    if needs_flow and not counts["flow"]:
        raise FileNotFoundError(f"{folder}: no flow images ({layout['flow'][0].format(1)} ...)")
    if not counts["rgb"] and not needs_flow:
        raise FileNotFoundError(f"{folder}: no frames ({layout['rgb'][0].format(1)} ...)")
    if needs_flow and counts["rgb"] and counts["rgb"] != counts["flow"] + 1:
        short = "rgb" if counts["rgb"] <= counts["flow"] else "flow"
        raise ValueError(
            f"{folder / layout[short][0].format(counts[short] + 1)}: missing; there are {counts['rgb']} frames and "
            f"{counts['flow']} flow images, but N frames have N - 1 flows"
        )
    return counts["flow"] if needs_flow else counts["rgb"]


def stated_counts(folder: Path) -> dict[str, int]:
    """Frames per stream that the `done` file states; other tools leave it empty."""
    try:
        lines = (folder / DONE).read_text().splitlines()
    except FileNotFoundError:
        return {}
    pairs = (line.split() for line in lines)
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def read_frames(folder: Path, patterns: Sequence[str], stream: Stream, numbers: Iterable[int]) -> Tensor:
    """Read frames of one stream.

    Returns:
        uint8, shape (T, C, H, W), stored channels last. RGB order; flow x, y.

    Raises:
        FileNotFoundError: If a frame is missing.
        ValueError: If a file cannot be decoded, or its size differs from the first frame's.
    """
    flag = cv2.IMREAD_COLOR_RGB if stream.channels == 3 else cv2.IMREAD_GRAYSCALE
    frames: list[np.ndarray] = []
    for number in numbers:
        planes = [read_image(folder / pattern.format(number), flag) for pattern in patterns]
        frame = planes[0] if len(planes) == 1 else np.stack(planes, -1)
        if frames and frame.shape != frames[0].shape:
            path, (height, width) = folder / patterns[0].format(number), frame.shape[:2]
            raise ValueError(f"{path}: {width}x{height}, unlike the other frames of the video")
        frames.append(frame)
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


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
