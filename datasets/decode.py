"""Video files to frames, at a constant rate and a given size."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
from cv2.typing import MatLike as Frame

MAX_SIDE = 8192  # a small file can claim frames of gigabytes
MAX_GAP = 60.0  # seconds; damaged timestamps would otherwise fill the disk with copies of one frame
DURATION_SLACK = 0.5  # seconds by which sound may outlast the picture

# A container says how many frames it holds only in these two families; elsewhere OpenCV estimates from the duration.
AVI = b"RIFF"
MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")

# Both libraries print several lines about a damaged file; the ValueError says it in one, with the name.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)


def read_video(
    path: str | Path, fps: float | None = 25.0, short_side: int | None = 256, allow_short: bool = False
) -> Iterator[Frame]:
    """Frames of a video as uint8 RGB (H, W, 3), one at a time; errors come while iterating.

    At a constant rate frame k shows what is on the screen at k / fps seconds after the first frame, rounded to
    the nearest tick; frames are dropped or repeated. Rotation metadata is applied.

    Args:
        path: Any file that FFmpeg reads; always a file, never a URL or a pattern of image names.
        fps: Frames per second of the result; None gives every frame once.
        short_side: Pixels of the shorter side, the other keeps the proportion; None keeps the size.
        allow_short: Accept a file that ends before its container says.

    Raises:
        FileNotFoundError: No such file.
        ValueError: `path: reason` for what is not a video, has no frames, is too large, or is damaged such that
            fewer frames come out than the container says. Damage inside a picture cannot be noticed.
    """
    if fps is not None and not 0 < fps < 1000:
        raise ValueError(f"fps must be between 0 and 1000, or None for the video's own, got {fps}")
    capture = open_video(Path(path))
    try:
        frames = timed_frames(capture, path, allow_short)
        shown = (frame for _, frame in frames) if fps is None else resample(frames, fps, frame_period(capture), path)
        yield from scaled(shown, short_side, path)
    except cv2.error as error:
        raise ValueError(f"{path}: {error.err}") from error
    finally:
        capture.release()


def open_video(path: Path) -> cv2.VideoCapture:
    """A decoder for the file, whose frames are at most `MAX_SIDE` wide and high."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such video file")
    if not path.is_file():
        raise ValueError(f"{path}: is not a file")
    # Relative, `http:x.mp4` would be a URL; with another backend, `%d.mp4` would be a series of images.
    # One thread: the callers run one process per core, and the frames of a damaged file stay reproducible.
    capture = cv2.VideoCapture(os.path.abspath(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])  # noqa: PTH100
    if not capture.isOpened():
        raise ValueError(f"{path}: is not a video, or damaged at the start")
    width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    if max(width, height) > MAX_SIDE:
        raise ValueError(f"{path}: frames of {width:.0f}x{height:.0f}, more than {MAX_SIDE}x{MAX_SIDE}")
    return capture


def frame_period(capture: cv2.VideoCapture) -> float:
    """Seconds from frame to frame by the container's (mean) rate; 1/25 where it names none."""
    rate = capture.get(cv2.CAP_PROP_FPS)
    return 1 / rate if 0 < rate < 1000 else 1 / 25


def timed_frames(capture: cv2.VideoCapture, path: str | Path, allow_short: bool) -> Iterator[tuple[float, Frame]]:
    """(seconds since the first frame, RGB frame) for every frame; the times increase strictly.

    AVI files with B-frames end in frames with time 0, and raw streams have no times at all: such a frame comes
    one frame period after its predecessor.
    """
    period = frame_period(capture)
    start, seconds, count = 0.0, -period, 0
    while capture.grab():
        position = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        decoded, frame = capture.retrieve()
        if not decoded:
            break
        if count == 0:
            start = position
        seconds = position - start if position - start > seconds else seconds + period
        count += 1
        yield seconds, cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    if count == 0:
        raise ValueError(f"{path}: no frame can be decoded")
    expected = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    short = count < expected - 1 if states_count(path) else seconds + period < expected * period - DURATION_SLACK
    if short and not allow_short:
        raise ValueError(
            f"{path}: only {count} of {expected:.0f} frames can be decoded; get the file again or use --allow_short"
        )


def states_count(path: str | Path) -> bool:
    """Whether the container of this file states its number of frames."""
    with Path(path).open("rb") as file:
        head = file.read(8)
    return head[:4] == AVI or head[4:] in MP4_BOXES


def resample(frames: Iterator[tuple[float, Frame]], fps: float, period: float, path: str | Path) -> Iterator[Frame]:
    """The frame on screen at each tick 0, 1, ... of `fps`: the last one whose time rounds to that tick or before."""
    tick = 0
    before, shown = next(frames)
    for seconds, frame in frames:
        if seconds - before > MAX_GAP:
            raise ValueError(f"{path}: {seconds - before:.0f} s without a frame; its timestamps are damaged")
        for _ in range(tick, nearest_tick(seconds, fps)):
            yield shown
        tick, shown, before = nearest_tick(seconds, fps), frame, seconds
    for _ in range(tick, max(nearest_tick(before + period, fps), 1)):
        yield shown


def nearest_tick(seconds: float, fps: float) -> int:
    """`seconds * fps` rounded, ties up; the small term keeps ties ties when milliseconds were rounded."""
    return math.floor(seconds * fps + 0.5 + 1e-6)


def scaled(frames: Iterator[Frame], short_side: int | None, path: str | Path) -> Iterator[Frame]:
    """`frames` at the size that the first one gets, should the size change in the middle."""
    size = None
    for frame in frames:
        size = size or scaled_size(frame.shape[1], frame.shape[0], short_side)
        if max(size) > MAX_SIDE:
            raise ValueError(f"{path}: would become {size[0]}x{size[1]}, more than {MAX_SIDE}x{MAX_SIDE}")
        yield resize(frame, size)


def scaled_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """(width, height) with the shorter side `short_side` and the longer one rounded to the nearest pixel."""
    if short_side is None:
        return width, height
    short = min(width, height)
    return (2 * width * short_side + short) // (2 * short), (2 * height * short_side + short) // (2 * short)


def resize(frame: Frame, size: tuple[int, int]) -> Frame:
    """`frame` at `size` = (width, height): averaged when it shrinks, bicubic when it grows."""
    height, width = frame.shape[:2]
    if (width, height) == size:
        return frame
    shrinks = size[0] * size[1] < width * height
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
