"""Speed and accuracy of every flow solver of this machine, as a Markdown table and JSON.

All solvers take each pair of images in turn, each on one core, and CPU time is counted, not wall time: the ratios hold
on a busy machine too. Ratios are those of OpenCV's TV-L1 with its default parameters, pair by pair. The pairs are made
up, with flow that is exact, unless --middlebury or --videos names real ones.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, check_least, choose, environment, image_size, publish
from benchmarks.solvers.methods import CPU, GPU, Flow, distance, measure, native, workable
from benchmarks.solvers.real_pairs import fastest_pair, middlebury, real_errors
from benchmarks.solvers.tables import flow_table, gpu_table, scaling_line, speed_table, truth_table, video_table
from benchmarks.synthetic.scenes import Scene, end_point_error, make_scene
from benchmarks.synthetic.textures import TEXTURES
from engine.command import cli
from sts_common.processors import single_threaded_libraries
from sts_common.timing import Seconds, alternated, gpu_seconds

Images = NDArray[np.uint8]

SPEEDS = (2.0, 5.0, 10.0)  # pixels per frame
BATCHES = (1, 8, 32)
SCALING_PAIRS, SCALING_ROUNDS = 24, 7


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("flow", __doc__)
    parser.add_argument("--pairs", type=int, default=6, help="of images; a published table has 18, which take minutes")
    parser.add_argument("--size", type=image_size, default=(340, 256), metavar="WxH", help="of the images, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the images")
    parser.add_argument("--methods", nargs="+", default=[], metavar="TEXT", help="only those whose name holds a TEXT")
    real = parser.add_mutually_exclusive_group()
    real.add_argument("--middlebury", type=Path, metavar="DIR", help="of NAME/frame10.png, frame11.png and flow10.flo")
    add = real.add_argument
    add("--videos", type=Path, nargs="+", metavar="FILE", help="the fastest two frames of each, at 25 fps")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Measure, print the tables, write the JSON."""
    check_least(opt, pairs=1)
    choose((*CPU, *GPU), opt.methods, "no solver's name")
    with single_threaded_libraries():
        return main_real(opt) if opt.middlebury or opt.videos else main_synthetic(opt)


def main_synthetic(opt: Namespace) -> Record:
    """Measure on made-up pairs: single pairs on one core, a second thread, GPUs."""
    kinds = [(texture, speed) for texture in TEXTURES for speed in SPEEDS]
    settings = [(opt.seed + i, *kinds[i % len(kinds)]) for i in range(opt.pairs)]
    width, height = opt.size
    scenes = [make_scene(seed, height, width, speed, texture) for seed, texture, speed in settings]
    measured, references = measure(scenes, opt.methods, errors, gpu=torch.cuda.is_available())
    record: Record = {
        "environment": environment(),
        "size": [width, height],
        "pairs": [dict(zip(("seed", "texture", "speed"), setting, strict=True)) for setting in settings],
        **measured,
        "scaling": scaling(scenes) if any(name.startswith("native") for name in measured["cpu"]) else None,
        "gpu": gpu_rates(scenes, references, opt.methods) if torch.cuda.is_available() else None,
    }
    tables = (flow_table, speed_table, scaling_line, gpu_table)
    return publish(opt.out, record, *(table(record) for table in tables))


def main_real(opt: Namespace) -> Record:
    """Measure on Middlebury's pairs or on those of videos."""
    pairs = middlebury(opt.middlebury) if opt.middlebury else [fastest_pair(video) for video in opt.videos]
    measured, _ = measure(pairs, opt.methods, real_errors)
    record = {"environment": environment(), "pairs": [pair.name for pair in pairs], **measured}
    return publish(opt.out, record, truth_table(record) if opt.middlebury else video_table(record))


def errors(flow: Flow, reference: Flow | None, scene: Scene) -> dict[str, float]:
    """Compute the distance of a flow from the truth and, if that is known, from OpenCV's, in pixels and grey levels."""
    return {
        "epe": end_point_error(flow, scene.flow),
        "epe_visible": end_point_error(flow, scene.flow, scene.visible),
        **({} if reference is None else distance(flow, reference)),
    }


def scaling(scenes: Sequence[Scene]) -> list[dict[int, Seconds]]:
    """Measure the native kernel on the same pairs with one thread and with two, in each round."""
    images = batch(scenes, SCALING_PAIRS)
    return alternated(
        {threads: partial(native("opencv", threads=threads), *images) for threads in (1, 2)}, SCALING_ROUNDS
    )


def gpu_rates(
    scenes: Sequence[Scene], references: Sequence[Flow | None], wanted: Sequence[str], device: str = "cuda"
) -> dict[str, Any]:
    """Measure pairs per second by batch size with images already on the GPU, and the errors of each pair's flow."""

    def images(chosen: Sequence[Scene], count: int) -> list[torch.Tensor]:
        return [torch.from_numpy(grey).to(device) for grey in batch(chosen, count)]

    solvers, missing = workable(GPU, wanted, *images(scenes, 1))
    rows: dict[str, Any] = {}
    for name, solver in solvers.items():
        pairs = [
            errors(solver(*images([scene], 1))[0].cpu().numpy(), reference, scene)
            for reference, scene in zip(references, scenes, strict=True)
        ]
        rates = {count: count / gpu_seconds(partial(solver, *images(scenes, count))) for count in BATCHES}
        rows[name] = {"description": solver.description, "pairs": pairs, "pairs_per_s": rates}
    return {"solvers": rows, "missing": missing}


def batch(scenes: Sequence[Scene], count: int) -> tuple[Images, Images]:
    """Return the first `count` pairs, again from the start if there are fewer, as (N, H, W) each."""
    chosen = list(islice(cycle(scenes), count))
    return np.stack([scene.previous for scene in chosen]), np.stack([scene.following for scene in chosen])


if __name__ == "__main__":
    cli.run(main, parse_args)
