"""Synthetic motion videos in HMDB51's layout: the demo, the tests and the ablation need no download.

A class is an object (seen in one frame) times a motion (seen only over time): `disc_rise`, `star_grow`, ...
No class is the mirror image of another, so a horizontal flip keeps the label.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

OBJECTS = {"disc": (70, 95, 190), "bar": (85, 185, 100), "star": (190, 90, 85)}  # mean colour, BGR
MOTIONS = ("rise", "fall", "sway", "grow")
CLASSES = tuple(sorted(f"{name}_{motion}" for name in OBJECTS for motion in MOTIONS))
SPLITS = (1, 2, 3)
CLIPS_PER_SOURCE = 2
FPS = 25.0
COLOUR_SD = 35.0  # of an object's colour between videos, grey levels
TEXTURE_SD = 28.0  # within one surface, grey levels: TV-L1 follows nothing on a flat surface
PLACE = 7.0  # largest distance of a path's middle from the centre of the frame, along x and y, pixels
PAN = 0.3  # largest speed of the background along x and y, pixels per frame: below the object's own
TRAIN, TEST = 1, 2


def write_videos(
    video_dir: Path,
    label_dir: Path,
    *,
    train_per_class: int = 44,
    test_per_class: int = 20,
    size: int = 48,
    frames: int = 20,
    seed: int = 0,
) -> None:
    """Write `{video_dir}/{class}/{video}.avi` and `{label_dir}/{class}_test_split{1,2,3}.txt`.

    A video is `{source}_{class}_f_cm_np1_fr_med_{n}.avi`. Clips of one source share the background and the looks of
    the object and are on the same side of every split. A video depends on its name, `size`, `frames` and `seed` alone.

    Args:
        video_dir: Made if missing; videos of the same name are replaced.
        label_dir: Made if missing; label files are replaced.
        train_per_class: Training videos per class and split, even, > 0.
        test_per_class: Test videos per class and split, even, > 0.
        size: Height and width of the square frames in pixels, even, >= 16.
        frames: Frames per video at 25 fps, >= 2.
        seed: Non-negative.

    Raises:
        ValueError: If an argument is out of its range.
        OSError: If a video cannot be written.
    """
    for name, count in (("train_per_class", train_per_class), ("test_per_class", test_per_class)):
        if count < 1 or count % CLIPS_PER_SOURCE:
            raise ValueError(
                f"{name} is {count}; must be a positive multiple of {CLIPS_PER_SOURCE}, the clips per source"
            )
    sources = (train_per_class + test_per_class) // CLIPS_PER_SOURCE
    for index, class_name in enumerate(CLASSES):
        first = index * sources  # no two classes share a source
        for source in range(first, first + sources):
            for n in range(CLIPS_PER_SOURCE):
                pixels, _ = render(class_name, source, n, size=size, frames=frames, seed=seed)
                write_avi(video_dir / class_name / video_name(class_name, source, n), pixels)
        write_labels(label_dir, class_name, range(first, first + sources), test_per_class // CLIPS_PER_SOURCE)


def video_name(class_name: str, source: int, n: int) -> str:
    """Return a name in HMDB51's pattern: source, class, full body, moving camera, one person, front, medium, number."""
    return f"clip{source:03d}_{class_name}_f_cm_np1_fr_med_{n}.avi"


def write_labels(label_dir: Path, class_name: str, sources: range, test_sources: int) -> None:
    """Write one class's three label files, lines `{video} {1 train | 2 test} `.

    The three runs of test sources start a third of the sources apart: they differ from three sources on, and
    share no video where they are short enough.
    """
    label_dir.mkdir(parents=True, exist_ok=True)
    count = len(sources)
    for split in SPLITS:
        start = (split - 1) * count // len(SPLITS)
        lines = [
            # HMDB51's own lines end in a blank.
            f"{video_name(class_name, source, n)} {TEST if (i - start) % count < test_sources else TRAIN} \n"
            for i, source in enumerate(sources)
            for n in range(CLIPS_PER_SOURCE)
        ]
        (label_dir / f"{class_name}_test_split{split}.txt").write_text("".join(lines), "utf-8")


def write_avi(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write BGR frames, shape (T, H, W, 3), as Motion JPEG, which every OpenCV build can read and write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape[1:3]
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, fourcc, FPS, (width, height))
    if not writer.isOpened():
        raise OSError(f"cannot write {path}")
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 98)
    for frame in pixels:
        writer.write(frame)
    writer.release()


def render(
    class_name: str, source: int, n: int, *, size: int = 48, frames: int = 20, seed: int = 0
) -> tuple[NDArray[np.uint8], Array]:
    """Draw clip `n` of a source.

    Args:
        class_name: One of `CLASSES`.
        source: Non-negative; decides the background, the object's colour, texture and proportions.
        n: Non-negative; with the source decides place, speed, phase and camera pan.
        size: Height and width in pixels, even, >= 16.
        frames: Number of frames T, >= 2.
        seed: Non-negative.

    Returns:
        The frames, shape (T, size, size, 3), BGR, and the object's coverage of each pixel, shape (T, size, size),
        in [0, 1].
    """
    if class_name not in CLASSES:
        raise ValueError(f"unknown class {class_name!r}; known: {', '.join(CLASSES)}")
    if size < 16 or size % 2 or frames < 2:
        raise ValueError(f"size {size} must be even and >= 16, frames {frames} must be >= 2")
    name, motion = class_name.split("_")
    looks, action = np.random.default_rng([seed, source]), np.random.default_rng([seed, source, n + 1])

    unit = size / 48  # everything below is designed in pixels of a 48 x 48 frame
    background = looks.uniform(90, 160, 3) + TEXTURE_SD * texture(looks, 2 * size, 4 * unit)
    surface = looks.normal(OBJECTS[name], COLOUR_SD) + TEXTURE_SD * texture(looks, 64, 4)
    radius = unit * looks.uniform(9, 12)
    angle = looks.uniform(-1.2, 1.2)

    offset, scale = trajectory(motion, frames, action)
    centre = size / 2 + unit * (action.uniform(-PLACE, PLACE, 2) + offset)
    pan = unit * action.uniform(-PAN, PAN, 2)

    y, x = np.mgrid[:size, :size].astype(np.float32)
    pixels = np.empty((frames, size, size, 3), np.uint8)
    coverage = np.empty((frames, size, size), np.float32)
    for t in range(frames):
        dx, dy = (x - centre[t, 0]) / (radius * scale[t]), (y - centre[t, 1]) / (radius * scale[t])
        u, v = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
        coverage[t] = np.clip(0.5 + depth(name, u, v) * radius * scale[t], 0, 1)
        behind = sample(background, x + size / 2 + pan[0] * t, y + size / 2 + pan[1] * t)
        alpha = coverage[t, :, :, None]
        frame = alpha * sample(surface, 32 + 14 * u, 32 + 14 * v) + (1 - alpha) * behind
        pixels[t] = np.clip(np.rint(frame), 0, 255)
    return pixels, coverage


def trajectory(motion: str, frames: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Compute the offset from the middle of the path (T, 2) as (x, y) in pixels, y downwards, and relative size (T,).

    Middle place and middle size follow the same law for all motions, so that one frame tells little of the motion.
    """
    t = np.arange(frames, dtype=np.float32) - (frames - 1) / 2
    offset, scale = np.zeros((frames, 2), np.float32), np.ones(frames, np.float32)
    if motion == "grow":
        scale = np.exp(rng.uniform(0.02, 0.032) * t)
    elif motion == "sway":
        period = rng.uniform(9, 14)
        offset[:, 0] = rng.uniform(1.5, 2.5) * np.sin(2 * np.pi * (t / period + rng.uniform()))
    else:
        offset[:, 1] = rng.uniform(0.4, 0.75) * (t if motion == "fall" else -t)
        offset[:, 0] = rng.uniform(-0.15, 0.15) * t
    return offset, scale


def depth(name: str, u: Array, v: Array) -> Array:
    """Compute the depth of a point inside the outline, negative outside; all in units of the object's radius."""
    if name == "disc":
        return 1 - np.hypot(u, v)
    if name == "bar":
        return np.minimum(1.6 - np.abs(u), 0.4 - np.abs(v))
    return 1 + 0.6 * np.cos(3 * np.arctan2(v, u)) - np.hypot(u, v)


def texture(rng: np.random.Generator, side: int, cell: float) -> Array:
    """Draw smooth colour noise of about unit variance, shape (side, side, 3); `cell` is its grain in pixels."""
    grid = rng.standard_normal((int(side / cell) + 1,) * 2 + (3,)).astype(np.float32)
    return np.asarray(cv2.resize(1.3 * grid, (side, side), interpolation=cv2.INTER_CUBIC), np.float32)


def sample(image: Array, x: Array, y: Array) -> Array:
    """Look up (H, W, 3) bilinearly at pixel coordinates of any one shape; reflected beyond the borders."""
    maps = x.astype(np.float32), y.astype(np.float32)
    found = cv2.remap(image.astype(np.float32), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(found, np.float32)
