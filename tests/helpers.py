"""Helpers of tests: invented data sets in the trees that the real ones have, small networks, reference values."""

import errno
import importlib.util
import os
import stat
import time
from argparse import Namespace
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch

from datasets import synthetic
from models import MODELS, build_model
from models.backbones import arguments
from opts.table import OPTIONS

CLASSES = ("brush_hair", "cartwheel", "catch")
FRAMES, SIZE = 20, (40, 48)
TINY = "--model resnet --model_depth 10 --width 0.0625 --sample_size 32 --sample_duration 8".split()
QUICK = "--batch_size 4 --n_workers 0 --n_epochs 1 --device cpu --clips_per_batch 5 --review_mid 8".split()


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


@cache
def noise(seed: int, frames: int) -> dict[str, bytes]:
    """The images of `write_frames` by name."""
    rng, images = np.random.default_rng(seed), {}
    for i in range(1, frames + 1):
        images[f"{i:05d}.jpg"] = jpeg(rng.integers(0, 256, (*SIZE, 3), np.uint8))
        for axis in "xy" if i < frames else "":
            images[f"TVL1jpg_{axis}_{i:05d}.jpg"] = jpeg(rng.integers(0, 256, SIZE, np.uint8))
    return images


def write_frames(folder: Path, seed: int, frames: int = FRAMES) -> None:
    """A folder as `utils1/extract_frames_flows.py` leaves it, of noise."""
    folder.mkdir(parents=True)
    for name, data in noise(seed, frames).items():
        (folder / name).write_bytes(data)
    (folder / "done").write_text(f"rgb {frames}\nflow {frames - 1}\n")


def write_film_videos() -> None:
    """Video files of two classes, and their lists, below the current folder: videos and labels."""
    for index, name in enumerate(synthetic.CLASSES[:2]):
        sources = range(3 * index, 3 * index + 3)
        synthetic.write_labels(Path("labels"), name, sources, test_sources=1)
        for source in sources:
            for clip in range(2):
                pixels, _ = synthetic.render(name, source, clip, size=32, frames=10)
                video = synthetic.video_name(name, source, clip)
                synthetic.write_avi(Path("videos", name, video), pixels)


def write_hmdb51(root: Path, classes: tuple[str, ...] = CLASSES, train: int = 3, test: int = 2) -> Path:
    """`root`/frames and `root`/labels, in HMDB51's layout, the same videos in all three splits."""
    (root / "labels").mkdir(parents=True)
    for c, name in enumerate(classes):
        lines = []
        for v in range(train + test):
            video = f"film{v}_{name}_f_cm_np1_fr_med_0"
            write_frames(root / "frames" / name / video, seed=100 * c + v, frames=FRAMES - v)
            lines.append(f"{video}.avi {1 if v < train else 2} \n")
        for split in (1, 2, 3):
            (root / "labels" / f"{name}_test_split{split}.txt").write_text("".join(lines))
    return root


def words_for(root: Path, results: Path, network: Sequence[str] = TINY, script: str | None = None) -> list[str]:
    """Options of a run that takes a second, of a script or of all.

    With `network` () a checkpoint must say which network it is.
    """
    paths = f"--frame_dir {root / 'frames'} --annotation_path {root / 'labels'} --result_path {results}".split()
    return [*paths, *network, *quick(script)]


def quick(script: str | None = None, words: Sequence[str] = QUICK) -> list[str]:
    """Options with a value each, of which a script takes these."""
    known = {flag for option in OPTIONS if script in (None, *option.scripts) for flag in option.flags}
    pairs = zip(words[::2], words[1::2], strict=True)
    return [word for flag, value in pairs if flag in known for word in (flag, value)]


class Clock:
    """Clock in the place of `time.perf_counter` that a test moves on."""

    def __init__(self, monkeypatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def after(self, seconds, value):
        """Let so much time pass, and give `value` back."""
        self.now += seconds
        return value


REFERENCE = Path(__file__).parent / "reference"


def reference(name: str) -> dict:
    return torch.load(REFERENCE / name, weights_only=True)


spec = importlib.util.spec_from_file_location("fill", REFERENCE / "fill.py")
fill = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fill)


def options(model: str, depth: int | None = None, **changes) -> Namespace:
    """Options of a network in its smallest form, but for its depth and `changes`."""
    changes |= {} if depth is None else {"model_depth": depth}
    options = arguments.OPTIONS
    values = {options[name]: value for name, value in MODELS[model].smallest.items() if name in options}
    words = [f"{name}={value}" for name, value in MODELS[model].smallest.items() if name not in options]
    return Namespace(model=model, n_classes=None, n_finetune_classes=None, **{**values, "model_args": words} | changes)


def small(model: str, in_channels: int = 3, num_classes: int = 5, **changes):
    return build_model(options(model, **changes), in_channels, num_classes)


def untruncated(tensor: torch.Tensor, mean: float = 0.0, std: float = 1.0, *_, **__) -> torch.Tensor:
    """In the place of `torch.nn.init.trunc_normal_`, which takes seconds for a large network."""
    return torch.nn.init.normal_(tensor, mean, std)


def fill_disk(monkeypatch, writes: int) -> None:
    """Let a disk be full after so many files that `os.write` writes."""
    write, room = os.write, iter(range(writes))

    def written(file: int, data: memoryview) -> int:
        if not stat.S_ISREG(os.fstat(file).st_mode):  # a pipe between processes
            return write(file, data)
        if next(room, None) is None:
            write(file, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    monkeypatch.setattr(os, "write", written)
