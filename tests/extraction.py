"""Inputs that tests of the extraction share: videos with a known motion, the scripts in this process, their trees."""

import hashlib
import os
from pathlib import Path

import cv2
import numpy as np

from datasets.synthetic import write_avi
from utils1 import extract_frames, extract_frames_flows

FRAMES = 6
MOTION = (2, -1)  # pixels per frame to the right and up


def make_video(path: Path, frames: int = FRAMES, seed: int = 0) -> Path:
    """A texture of 48x40 pixels that moves by MOTION from frame to frame."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((100, 120)), (0, 0), 2)
    texture = cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
    views = [texture[20 - MOTION[1] * i :, 60 - MOTION[0] * i :][:40, :48] for i in range(frames)]
    write_avi(path, np.repeat(np.stack(views)[..., None], 3, axis=3))
    return path


def frames(source: Path, target: Path, *options: str, classes: tuple[int, int] = (0, 99)) -> None:
    arguments = [str(source), str(target), *map(str, classes), "--workers=1", "--short_side=0", *options]
    extract_frames.main(extract_frames.parse_args(arguments))


def flows(source: Path, target: Path, *options: str) -> None:
    arguments = [str(source), str(target), "0", "99", "0", "--workers=1", "--short_side=0", "--flow=dis", *options]
    extract_frames_flows.main(extract_frames_flows.parse_args(arguments))


def tree(root: Path) -> dict[str, str]:
    """Relative path -> digest of every file."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def expected_names(count: int, flow: bool) -> set[str]:
    rgb = {"done", *(f"{i:05d}.jpg" for i in range(1, count + 1))}
    return rgb | {f"TVL1jpg_{axis}_{i:05d}.jpg" for i in range(1, count) for axis in "xy"} if flow else rgb


def die_of(job: str, worker: object) -> str:
    """A job that ends its process where it is called "fatal"."""
    if job == "fatal":
        os._exit(1)
    return job
