"""Speed and accuracy of every flow solver of this machine, as a Markdown table and JSON.

All solvers take each pair of images in turn, each on one core, and CPU time is counted, not wall time: the ratios hold
on a busy machine too. Ratios are those of OpenCV's TV-L1 with its default parameters, pair by pair. The pairs are made
up, with flow that is exact, unless --middlebury or --videos names real ones.
"""

import logging
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.methods import CPU, GPU, REFERENCE, Solver, check, native, workable
from benchmarks.real_pairs import fastest_pair, measure_real, middlebury, truth_table, video_table
from benchmarks.scenes import Scene, end_point_error, grey_difference, make_scene
from benchmarks.tables import environment, flow_table, gpu_table, save, scaling_line, speed_table
from benchmarks.textures import TEXTURES
from engine.command import cli
from sts_common.timing import Seconds, alternated, cpu_seconds, gpu_seconds
from workflows.shared.processes import single_threaded_libraries

Images = NDArray[np.uint8]
Flow = NDArray[np.float32]

SPEEDS = (2.0, 5.0, 10.0)  # pixels per frame
BATCHES = (1, 8, 32)
SCALING_PAIRS, SCALING_ROUNDS = 24, 7

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6, help="of images; a published table has 18, which take minutes")
    parser.add_argument("--size", type=size, default=(340, 256), metavar="WxH", help="of the images, pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the images")
    parser.add_argument("--methods", nargs="+", default=[], metavar="TEXT", help="only those whose name holds a TEXT")
    real = parser.add_mutually_exclusive_group()
    real.add_argument("--middlebury", type=Path, metavar="DIR", help="of NAME/frame10.png, frame11.png and flow10.flo")
    real.add_argument(
        "--videos", type=Path, nargs="+", metavar="FILE", help="the fastest two frames of each, at 25 fps"
    )
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/flow.json"), help="every number")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser.parse_args(argv)


def size(text: str) -> tuple[int, int]:
    """Parse the width and height of "340x256"."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= 16):
        raise ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, like 340x256, of at least 16")
    return int(width), int(height)


def main(opt: Namespace) -> dict[str, Any]:
    """Measure, print the tables, write the JSON."""
    if opt.pairs < 1:
        raise ValueError(f"--pairs {opt.pairs} is not at least 1")
    check(opt.methods)
    if opt.middlebury or opt.videos:
        return main_real(opt)
    kinds = [(texture, speed) for texture in TEXTURES for speed in SPEEDS]
    settings = [(opt.seed + i, *kinds[i % len(kinds)]) for i in range(opt.pairs)]
    width, height = opt.size
    scenes = [make_scene(seed, height, width, speed, texture) for seed, texture, speed in settings]
    record: dict[str, Any] = {
        "environment": environment(),
        "size": [width, height],
        "pairs": [dict(zip(("seed", "texture", "speed"), setting, strict=True)) for setting in settings],
    }
    with single_threaded_libraries():
        record |= measure(scenes, opt.methods)
    save(opt.out, record)
    for text in (flow_table(record), speed_table(record), scaling_line(record), gpu_table(record)):
        print(text)  # noqa: T201 - the result
    return record


def main_real(opt: Namespace) -> dict[str, Any]:
    """Measure on real pairs, print their table, write the JSON."""
    with single_threaded_libraries():
        pairs = middlebury(opt.middlebury) if opt.middlebury else [fastest_pair(video) for video in opt.videos]
        solvers, missing = workable(CPU, opt.methods, pairs[0].previous, pairs[0].following)
        if REFERENCE in missing:
            raise ValueError(missing[REFERENCE])
        record = {"environment": environment(), **measure_real(solvers, pairs), "missing": missing}
    save(opt.out, record)
    print(truth_table(record) if opt.middlebury else video_table(record))  # noqa: T201 - the result
    return record


def measure(scenes: Sequence[Scene], wanted: Sequence[str]) -> dict[str, Any]:
    """Measure every number: of single pairs on one core, of a second thread, of GPUs."""
    solvers, missing = workable(CPU, wanted, scenes[0].previous, scenes[0].following)
    if REFERENCE in missing:
        raise ValueError(missing[REFERENCE])
    rows: dict[str, Any] = {name: {"description": solver.description, "pairs": []} for name, solver in solvers.items()}
    references = []
    for number, scene in enumerate(scenes, 1):
        pair, reference = compare(solvers, scene)
        for name, row in pair.items():
            rows[name]["pairs"].append(row)
        references.append(reference)
        log.info("%d of %d pairs", number, len(scenes))
    return {
        "cpu": rows,
        "missing": missing,
        "scaling": scaling(scenes) if any(name.startswith("native") for name in solvers) else None,
        "gpu": gpu_rates(scenes, references, wanted) if torch.cuda.is_available() else None,
    }


def compare(solvers: dict[str, Solver], scene: Scene) -> tuple[dict[str, dict[str, float]], Flow]:
    """Measure time and errors of each solver on one pair, and return the reference flow, OpenCV's TV-L1."""
    rows, flows = {}, {}
    for name, solver in solvers.items():
        seconds, flows[name] = cpu_seconds(partial(solver, scene.previous, scene.following))
        rows[name] = {"cpu_s": seconds}
    for name, row in rows.items():
        row["ratio"] = rows[REFERENCE]["cpu_s"] / row["cpu_s"]
        row |= errors(flows[name], flows[REFERENCE], scene)
    return rows, flows[REFERENCE]


def errors(flow: Flow, reference: Flow, scene: Scene) -> dict[str, float]:
    """Compute the distance of a flow from the truth and from OpenCV's, in pixels and in stored grey levels."""
    levels, within = grey_difference(flow, reference)
    return {
        "epe": end_point_error(flow, scene.flow),
        "epe_visible": end_point_error(flow, scene.flow, scene.visible),
        "px": end_point_error(flow, reference),
        "levels": levels,
        "within_1": within,
    }


def scaling(scenes: Sequence[Scene]) -> list[dict[int, Seconds]]:
    """Measure the native kernel on the same pairs with one thread and with two, in each round."""
    images = batch(scenes, SCALING_PAIRS)
    return alternated(
        {threads: partial(native("opencv", threads=threads), *images) for threads in (1, 2)}, SCALING_ROUNDS
    )


def gpu_rates(
    scenes: Sequence[Scene], references: Sequence[Flow], wanted: Sequence[str], device: str = "cuda"
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
