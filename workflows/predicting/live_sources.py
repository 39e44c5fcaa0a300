"""Sources of live frames: cameras, pipes and devices, at the frame rate of the network's training."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from datasets.decoding.video.containers import FORMATS, film_of, load_av
from datasets.decoding.video.pictures import Picture, Pictures
from datasets.decoding.video.rates import nearest_tick

STREAMED = f"{FORMATS},nut,mjpeg,mpjpeg,h264,hevc,yuv4mpegpipe,video4linux2,v4l2"
PAUSE = 1.0  # seconds without a frame that are not filled with copies of the last one

Timed = tuple[float, Picture]


def live_frames(path: Path) -> Iterator[Timed]:
    """Yield (seconds, RGB frame) of a camera by its number, of the standard input, "-", or of a pipe or device."""
    return camera(int(str(path))) if str(path).isdecimal() else stream(path)


def camera(index: int) -> Iterator[Timed]:
    """Yield frames of a camera with the time at which they came; raises ValueError if it does not open, or stops."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # it says several lines about each
    try:
        capture = cv2.VideoCapture(index, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)
    finally:
        cv2.utils.logging.setLogLevel(level)
    try:
        if not capture.isOpened():
            raise ValueError(f"camera {index} does not open: is it plugged in (ls /dev/video*), free, and allowed?")
        while True:
            good, frame = capture.read()
            if not good:
                raise ValueError(f"camera {index} gives no more frames")
            yield time.monotonic(), np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)
    finally:
        capture.release()


def stream(path: Path) -> Iterator[Timed]:
    """Yield frames of a pipe, of a device, or of the standard input for "-", with their own times.

    Raises ValueError if it is none that FFmpeg reads.
    """
    av, name = load_av(), "pipe:0" if str(path) == "-" else str(path.absolute())
    allowed = {"format_whitelist": STREAMED, "protocol_whitelist": "file,pipe", "fflags": "nobuffer"}
    try:
        kind = "v4l2" if path.is_char_device() else None
        with av.open(name, format=kind, options=allowed, metadata_errors="replace") as container:
            film, picture = film_of(container, path), Pictures(path)
            for frame in container.decode(film):
                yield time.monotonic() if frame.time is None else frame.time, picture(frame)
    except av.error.FFmpegError as error:
        raise ValueError(f"{path}: is no video that can be streamed ({error.strerror})") from error


def at_rate(frames: Iterable[Timed], fps: float | None) -> Iterator[Picture]:
    """Resample frames to a constant rate, as `datasets.read_video` does but without waiting for the next.

    Their times are seconds from anywhere; after a pause, or where they jump back, they begin anew. Without `fps` every
    frame is given once.
    """
    start, tick = 0.0, -1
    before: Timed | None = None
    for seconds, frame in frames:
        if fps is None:
            yield frame
            continue
        if before is None or not 0 <= seconds - before[0] <= PAUSE:
            start = seconds - (tick + 1) / fps
        due = nearest_tick(seconds - start, fps)
        if before is not None:
            for _ in range(tick + 1, due):
                yield before[1]
        if due > tick:
            yield frame
            tick = due
        before = seconds, frame
