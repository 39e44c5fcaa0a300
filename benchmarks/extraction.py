"""Overhead of decoding, JPEG and files on flow: CPU time of a whole extraction over that of its flow alone.

Both run in turn on the same made-up videos, in one process with one worker, as a table and JSON.
"""

import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from cv2.typing import MatLike

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, check_least, environment, markdown, publish, ratios, spread
from benchmarks.synthetic.textures import Image, leaves
from datasets import read_video
from engine.command import cli
from flow import BACKENDS, PRESETS
from sts_common.processors import single_threaded_libraries
from sts_common.timing import alternated
from sts_common.workers import SharedCounters, Worker
from workflows.extracting.extraction_recipe import FlowRecipe, Recipe
from workflows.extracting.image_folder import RGB
from workflows.extracting.video_folder import Job, extract_video

WIDTH, HEIGHT, FPS = 340, 256, 25.0
TINT = (0.8, 0.9, 1.0)  # of blue, green and red


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("extraction", __doc__, rounds=5)
    parser.add_argument("--frames", type=int, default=20, help="of each video")
    parser.add_argument("--backend", default="auto", choices=BACKENDS, help="of the flow")
    parser.add_argument("--presets", nargs="+", default=["opencv", "fast"], choices=PRESETS, help="of the flow")
    parser.add_argument("--seed", type=int, default=0, help="of the videos")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Measure, print the table, write the JSON."""
    check_least(opt, frames=2, rounds=1)
    recipes = {preset: FlowRecipe(backend=opt.backend, preset=preset) for preset in opt.presets}
    record: Record = {"environment": environment(), "frames": opt.frames, "backend": opt.backend}
    record["presets"] = {preset: [] for preset in recipes}
    with tempfile.TemporaryDirectory() as folder, single_threaded_libraries():
        for number in range(opt.rounds):
            video = Path(folder) / f"{number}.avi"
            write_video(video, opt.seed + number, opt.frames)
            for preset, flow in recipes.items():
                record["presets"][preset].append(measure(video, Recipe(flow=flow)))
    return publish(opt.out, record, table(record))


def measure(video: Path, recipe: Recipe) -> dict[str, float]:
    """Measure CPU seconds of the whole extraction, of its flow and of its decoding, each after a warm-up run."""
    assert recipe.flow is not None
    solve = recipe.flow.build()
    job = Job(video, video.stat().st_size, video.with_suffix(""), recipe)
    whole = partial(extract_video, job, Worker(0, SharedCounters(1, 1, 1)))
    if problem := whole().problem:
        raise ValueError(problem)
    paths = sorted(job.folder.glob(f"[0-9]*{RGB.suffix}"))
    grey = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths]
    calls: dict[str, Callable[[], Any]] = {
        "total": whole,
        "flow": lambda: [solve(previous, following) for previous, following in pairwise(grey)],
        "decoding": lambda: list(read_video(video, recipe.fps, recipe.short_side)),
    }
    calls["flow"]()
    rounds = alternated(calls, rounds=2)
    return {name: sum(seconds[name].cpu for seconds in rounds) / len(rounds) for name in calls}


def table(record: Record) -> str:
    """Tabulate the ratio and shares, medians over videos."""
    pairs = record["frames"] - 1
    rows = []
    for preset, rounds in record["presets"].items():
        total, flow, decoding = ([times[part] for times in rounds] for part in ("total", "flow", "decoding"))
        rest = [a - b - c for a, b, c in zip(total, flow, decoding, strict=True)]
        milliseconds = (f"{1000 * median(seconds) / pairs:.2f}" for seconds in (flow, decoding, rest))
        rows.append([preset, spread(ratios(total, flow), 3), *milliseconds])
    header = ["preset", "whole / flow", "ms per pair: flow", "decoding", "JPEG and files"]
    return f"{record['environment']['cpu']}, {len(rounds)} videos of {WIDTH}x{HEIGHT}\n\n{markdown(header, rows)}"


def write_video(path: Path, seed: int, frames: int) -> None:
    """Write a textured disc crossing a background seen by a turning camera, as MPEG-4 like the videos of UCF101."""
    rng = np.random.default_rng(seed)
    background, surface = (leaves(rng, HEIGHT, WIDTH) for _ in range(2))
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"XVID"), FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise ValueError(f"{path}: this OpenCV cannot write MPEG-4 videos; its pip package can")
    velocity = rng.uniform(-3, 3, 2)
    disc = np.zeros((HEIGHT, WIDTH))
    cv2.circle(disc, (WIDTH // 2, HEIGHT // 2), HEIGHT // 4, 1.0, cv2.FILLED)
    for t in range(frames):
        turn = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), 0.5 * t, 1 + 0.005 * t)
        move = np.array([[1.0, 0, velocity[0] * t], [0, 1, velocity[1] * t]])
        cover = warp(disc, move)
        grey = cover * warp(surface, move) + (1 - cover) * warp(background, turn)
        writer.write(np.clip(np.rint(grey[..., None] * TINT), 0, 255).astype(np.uint8))
    writer.release()


def warp(image: Image, matrix: MatLike) -> Image:
    """Warp `image` by an affine matrix, mirrored beyond its border."""
    moved = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.float64)


if __name__ == "__main__":
    cli.run(main, parse_args)
