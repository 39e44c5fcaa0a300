"""Speed of predict.py on a video file on this machine, decoding included: RGB + SFS, or one stream, in turn.

Networks have random weights and the video is made up. Clock time and CPU time are stated: the clock counts what other
work takes from this one, the CPU time of all threads does not tell whether they ran side by side. Where OpenVINO is
installed it has rows on a CPU; its int8 is quantised by noise.
"""

import logging
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, choose, environment, markdown, publish, ratios
from benchmarks.networks.random import add_network_options, network_options
from benchmarks.synthetic.videos import moving_discs
from datasets import RGB
from datasets.decoding.video.containers import load_av
from engine import checkpoint, setup
from engine.command import cli
from models import build_model
from sts_common.timing import alternated
from workflows.exporting.plan import build_export
from workflows.measuring.exported_networks import calibrated, missing_packages, write_exported
from workflows.predicting.predict import PredictorSettings, build_predictor
from workflows.predicting.predictor import Predictor, predict_video

FPS, CLASSES = 25, 51
# Name of a row: settings of the networks, and whether the networks run one after the other, each on all cores.
WAYS: dict[str, tuple[dict[str, Any], bool]] = {
    "float32, one after the other": ({}, True),
    "float32": ({}, False),
    "bf16, one after the other": ({"amp": "bf16"}, True),
    "bf16": ({"amp": "bf16"}, False),
    "bf16, groups of 16": ({"amp": "bf16", "group_width": 16}, False),
    "bf16, frame stride 2": ({"amp": "bf16", "frame_stride": 2}, False),
    "bf16, compiled": ({"amp": "bf16", "compile_mode": "default"}, False),
    "openvino, float32": ({"engine": "openvino"}, False),
    "openvino, int8": ({"engine": "openvino"}, False),
}

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("predict", __doc__, rounds=3)
    add_network_options(parser)
    add = parser.add_argument
    add("--streams", default=2, type=int, help="networks that are fused")
    add("--size", default="640x360", help="of the video, pixels")
    add("--seconds", default=6.0, type=float, help="of the video")
    add("--eager", action="store_true", help="without the row that is compiled")
    add("--only", nargs="+", default=[], metavar="TEXT", help="rows whose name holds one of these")
    add("--files", nargs="+", default=[], metavar="FILE", help="of export.py, each a row in place of those of OpenVINO")
    add("--device", default="cpu", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Measure, print the table, write the JSON."""
    width, _, height = opt.size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(opt.rounds, opt.streams) > 0 and opt.seconds > 0):
        raise ValueError("--size must be like 640x360, --rounds, --streams and --seconds positive")
    device = setup(0, opt.device)
    names = choose(WAYS, opt.only, "no row")
    ways = [name for name in names if is_measured(name, WAYS[name][0], opt.eager, device)]
    ways = [name for name in ways if not (opt.files and "engine" in WAYS[name][0])] + opt.files
    with tempfile.TemporaryDirectory() as place:
        video = Path(place) / "video.mp4"
        write_video(video, int(width), int(height), round(FPS * opt.seconds))
        weights = [write_weights(Path(place) / f"{i}.pth", opt, i) for i in range(opt.streams)]
        calls = {name: partial(predict_video, prepare(name, weights, device, Path(place)), video) for name in ways}
        for call in calls.values():
            call()  # what is chosen or compiled at the first call is done
        rounds = alternated(calls, opt.rounds)
    record: Record = {
        "environment": environment() | {"threads": torch.get_num_threads()},
        "device": str(device),
        "network": f"{opt.streams} x {opt.model}-{opt.depth} x {opt.width:g}",
        "video": {"size": opt.size, "fps": FPS, "seconds": opt.seconds},
        "rows": {name: [times[name]._asdict() for times in rounds] for name in ways},
    }
    return publish(opt.out, record, table(record))


def is_measured(name: str, options: Mapping[str, Any], eager: bool, device: torch.device) -> bool:
    """Return whether a row is asked for, and can be measured here."""
    if engine := options.get("engine"):
        return device.type == "cpu" and not missing_packages(engine, dtype_in(name))
    return not (eager and "compile_mode" in options)


def dtype_in(name: str) -> str:
    """Return the number format that the name of a row states."""
    return name.rpartition(", ")[2]


def prepare(name: str, weights: Sequence[str], device: torch.device, place: Path) -> Predictor:
    """Return the networks in the configuration of a row; exported files, of all of them, are written to `place`."""
    log.info("%s", name)
    options, in_turn = WAYS.get(name, ({}, False))
    sources = list(weights) if name in WAYS else [name]
    if engine := options.get("engine"):
        folder = place / name
        folder.mkdir()
        sources = [str(write_exported(calibrated(build_export(weights, dtype=dtype_in(name))), engine, folder))]
    predictor = build_predictor(sources, PredictorSettings(**options), device=device)
    return Predictor(**vars(predictor) | ({"pool": None} if in_turn else {}))


def write_weights(path: Path, opt: Namespace, seed: int) -> str:
    """Write a checkpoint with random weights for clips of 16x112x112."""
    torch.manual_seed(seed)
    network = network_options(opt)
    recipe = {"sample_size": 112, "sample_duration": 16, "clip_stride": 1}
    state = {
        "options": network,
        "class_names": [f"class {i}" for i in range(CLASSES)],
        "stream": RGB.name,
        "recipe": recipe | {"provenance": {"fps": float(FPS), "short_side": 256}},
        "state_dict": build_model(Namespace(**network), RGB.channels, CLASSES).state_dict(),
    }
    checkpoint.save(path, state)
    return str(path)


def write_video(path: Path, width: int, height: int, frames: int) -> None:
    """Write moving discs as H.264."""
    av = load_av()
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture, _ in islice(moving_discs(np.random.default_rng(0), frames), frames):
            resized = np.asarray(cv2.resize(picture, (width, height)), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(resized, format="bgr24")))
        container.mux(stream.encode())


def table(record: Record) -> str:
    """Tabulate medians over rounds, and the speed relative to the first row within a round."""
    rows, measured = [], record["rows"]
    first, seconds = measured[next(iter(measured))], record["video"]["seconds"]
    for name, times in measured.items():
        wall, cpu = (median(time[kind] for time in times) for kind in ("wall", "cpu"))
        faster = ratios((time["cpu"] for time in first), (time["cpu"] for time in times))
        best = min(time["wall"] for time in times)
        real_time = f"{seconds / wall:.2f} (best {seconds / best:.2f})"
        rows.append([name, f"{seconds * FPS / wall:.1f}", real_time, f"{cpu / seconds:.2f}", f"{median(faster):.2f}"])
    where, video = record["environment"], record["video"]
    title = (
        f"{where['cpu']}, {where['threads']} threads, torch {where['torch']}, {record['network']}, "
        f"{video['seconds']:g} s of {video['size']} at {video['fps']} fps"
    )
    header = [record["device"], "frames/s", "x real time", "core seconds per second", "times as fast by CPU time"]
    return f"{title}\n\n{markdown(header, rows)}"


if __name__ == "__main__":
    cli.run(main, parse_args)
