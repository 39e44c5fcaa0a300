"""One video to its folder of frames and flow images."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike

from datasets.decode import MAX_SIDE, read_video
from datasets.frames import count_usable_frames, stated_counts
from datasets.layouts import DONE, LAYOUTS
from datasets.provenance import FLOW_FILE, FRAMES_FILE
from flow import build_flow, encode
from flow.encoding import check_bound

RGB, FLOW_XY = LAYOUTS["sts"]["rgb"][0], LAYOUTS["sts"]["flow"]
FLOW_QUALITY = 95  # OpenCV's default, which all published tools used


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How images are made. None keeps the video's rate or size; without `flow` only frames are written.

    `parameters` are those of the flow's solver that differ from its defaults.
    """

    fps: float | None = 25.0
    short_side: int | None = 256
    quality: int = 95
    allow_short: bool = False
    flow: str | None = None
    bound: float = 20.0
    quantisation: str = "truncate"
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_bound(self.bound)
        for name, value, least, most in (
            ("fps", self.fps, 0.01, 999),
            ("short_side", self.short_side, 1, MAX_SIDE),
            ("quality", self.quality, 1, 100),
        ):
            if value is not None and not least <= value <= most:
                raise ValueError(f"--{name} {value} is not between {least} and {most}")

    def records(self) -> dict[str, dict[str, Any]]:
        """Content of each provenance file, by file name."""
        geometry = {"fps": self.fps, "short_side": self.short_side}
        records = {FRAMES_FILE: geometry | {"quality": self.quality, "decoder": f"opencv {cv2.__version__}"}}
        if self.flow:
            encoding = {"bound": self.bound, "quantisation": self.quantisation, "quality": FLOW_QUALITY}
            records[FLOW_FILE] = build_flow(self.flow, **self.parameters).description | geometry | encoding
        return records


@dataclass(frozen=True)
class Job:
    """One video, the folder it becomes, and how."""

    video: Path
    folder: Path
    recipe: Recipe


def is_complete(folder: Path, *, flow: bool) -> bool:
    """Whether a finished folder holds all that is asked; files are counted if another tool's `done` is empty."""
    try:
        if stated := stated_counts(folder):
            return "flow" in stated or not flow
        return count_usable_frames(folder, LAYOUTS["sts"], {"rgb", "flow"} if flow else {"rgb"}) > 0
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False


def extract_video(job: Job) -> tuple[dict[str, int], str]:
    """Make the folder of one video, in a hidden folder beside it that is renamed when all is written.

    Returns:
        Images written per stream, and why the video cannot be extracted or "".
    """
    part = job.folder.with_name(f".part-{job.folder.name}")
    try:
        if part.exists():
            shutil.rmtree(part)
        part.mkdir(parents=True)
        counts = write_images(job.video, part, job.recipe)
        write(part / DONE, "".join(f"{stream} {count}\n" for stream, count in counts.items()).encode())
        if job.folder.exists():  # renamed first, for a folder that loses its files must not keep its `done`
            job.folder.rename(part / "old")
            shutil.rmtree(part / "old")
        part.rename(job.folder)
    except (ValueError, FileNotFoundError) as error:
        reason = str(error).removeprefix(f"{job.video}: ")
        return {}, f"{job.video}: {reason}"
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return counts, ""


def write_images(video: Path, folder: Path, recipe: Recipe) -> dict[str, int]:
    """Write frames 1..N and, if asked, flow 1..N-1 of a video.

    The flow is that of the written JPEG read back as grey, as the published tools had it.
    """
    solve = build_flow(recipe.flow, **recipe.parameters) if recipe.flow else None
    previous: MatLike | None = None
    number = 0
    for frame in read_video(video, recipe.fps, recipe.short_side, recipe.allow_short):
        number += 1
        data = jpeg(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), recipe.quality)
        write(folder / RGB.format(number), data)
        if solve is None:
            continue
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert grey is not None
        if previous is not None:
            levels = encode(solve(previous, grey), recipe.bound, recipe.quantisation)
            for axis, pattern in enumerate(FLOW_XY):
                write(folder / pattern.format(number - 1), jpeg(levels[..., axis], FLOW_QUALITY))
        previous = grey
    return {"rgb": number} | ({"flow": number - 1} if solve else {})


def jpeg(image: MatLike, quality: int) -> bytes:
    """`image` as the content of a JPEG file."""
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def write(path: Path, data: bytes) -> None:
    """Write a file, raising an OSError with its name; cv2.imwrite does not even raise on a full disk."""
    try:
        path.write_bytes(data)
    except OSError as error:
        error.filename = str(path)
        raise
