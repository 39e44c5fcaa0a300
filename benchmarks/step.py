"""Cost of a training step and of inference: as in the published code, and in our number formats and memory layouts.

All take the same clips in turn. On a CPU there is one thread and CPU time is counted; on a GPU events are timed.
Compiling takes minutes per row: --eager leaves these rows out. Files for OpenVINO and onnxruntime, where they are here,
are rows of inference on a CPU; in int8 they are quantised by noise, and compared on noise.
"""

import logging
import math
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import (
    Record,
    build_parser,
    check_least,
    environment,
    holds,
    markdown,
    publish,
    ratios,
    spread,
)
from benchmarks.networks.random import add_network_options, network_options
from benchmarks.networks.ways import KINDS, ORIGINAL, WAYS, Call, Way, call_of, way_of_file
from datasets import MODALITIES
from engine import dtype_of, setup
from engine.command import cli
from engine.device.precision import round_float32
from models import StreamNetwork, build_model
from models.analysis.flops import estimate
from sts_common.processors import single_threaded_libraries
from sts_common.timing import alternated, gpu_seconds

PEAKS = {"H200": 989, "H100": 989, "A100": 312}  # TFLOP/s of dense bf16, as NVIDIA states them
# Side of the matrices whose product is the end of the scale, and how often: a GPU is done with small ones at once.
SIDE, TRIES = 2048, 10
GPU_SIDE, GPU_TRIES = 8192, 3

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("step", __doc__, rounds=5)
    add_network_options(parser)
    add = parser.add_argument
    add("--modality", default="RGB", choices=("RGB", "Flow"), help="what it reads")
    add("--size", default=112, type=int, help="of a frame, pixels")
    add("--duration", default=16, type=int, help="frames per clip")
    add("--batch", type=int, help="clips; 2 on a CPU, 64 on a GPU if not given")
    add("--kinds", nargs="+", default=KINDS, choices=KINDS, help="what is measured")
    add("--files", nargs="+", default=[], metavar="FILE", help="of export.py, of a network like this one: rows too")
    add("--only", nargs="+", default=[], metavar="TEXT", help="rows whose names hold one of these, and the original")
    add("--eager", action="store_true", help="without rows that are compiled")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--peak", type=float, help="TFLOP/s that MFU is a part of; known of H100, H200 and A100")
    add("--seed", default=0, type=int, help="of weights and clips")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Measure, print the tables, write the JSON."""
    device = setup(opt.seed, opt.device)
    batch = opt.batch or (64 if device.type == "cuda" else 2)
    check_least(Namespace(**vars(opt) | {"batch": batch}), batch=1, rounds=1, size=1, duration=1)
    files = [way_of_file(file) for file in opt.files]
    ways = {kind: choose_ways(kind, opt, device) + files * (kind == "inference") for kind in opt.kinds}
    (stream,) = MODALITIES[opt.modality]
    network = build_model(Namespace(**network_options(opt)), stream.channels, 51)
    model = StreamNetwork(network, stream).to(device)
    shape = (batch, len(model.mean), opt.duration, opt.size, opt.size)
    clips = torch.randint(0, 256, shape, dtype=torch.uint8).to(device)
    costs = estimate(model.network, shape[1:])
    record: Record = {
        "environment": environment(),
        "device": str(device),
        "network": f"{opt.model}-{opt.depth} x {opt.width:g}",
        "clips": list(shape),
        "rounds": opt.rounds,
        "peak_tflops": opt.peak or peak_of(device),
        "matmul_tflops": {amp: matmul_tflops(amp, device) for amp in formats(device, ways)},
        "flops_per_clip": {"training": costs.flops_training, "inference": costs.flops_forward},
        "kinds": {},
    }
    with single_threaded_libraries():
        for kind in opt.kinds:
            record["kinds"][kind] = compare(kind, ways[kind], model, clips, opt.rounds)
    return publish(opt.out, record, *(table(record, kind) for kind in opt.kinds))


def choose_ways(kind: str, opt: Namespace, device: torch.device) -> list[Way]:
    """Return the rows that the device can run and the options select."""
    ways = [way for way in WAYS[kind] if way.runs_on(device) and not (opt.eager and way.mode != "off")]
    if not opt.only:
        return ways
    exact = {way.name for way in ways} & set(opt.only)  # a whole name is that row, and no longer name that begins so
    chosen = [way for way in ways if way.name in (*exact, ORIGINAL) or holds(way.name, set(opt.only) - exact)]
    if len(chosen) < 2:
        raise ValueError(f"no row's name holds {' or '.join(opt.only)}; there are {'; '.join(w.name for w in ways)}")
    return chosen


def compare(
    kind: str, ways: Sequence[Way], model: StreamNetwork, clips: torch.Tensor, rounds: int
) -> dict[str, dict[str, Any]]:
    """Measure seconds per batch in each round, and the distance of the logits from the original's, by name."""
    calls: dict[str, Call] = {}
    rows: dict[str, dict[str, Any]] = {}
    truth: torch.Tensor | None = None  # of the first way, which is the original's
    for way in ways:
        log.info("%s: %s", kind, way.name)
        calls[way.name] = call_of(kind, way, model, clips)
        logits = calls[way.name]().double().cpu()
        truth = logits if truth is None else truth
        apart = None if way.file else ((logits - truth).norm() / truth.norm()).item()
        rows[way.name] = {"difference": apart, "seconds": []}
        calls[way.name]()  # what is compiled or chosen at the second call is done
    for seconds in timed(calls, rounds, clips.device):
        for name, value in seconds.items():
            rows[name]["seconds"].append(value)
    return rows


def timed(calls: Mapping[str, Callable[[], Any]], rounds: int, device: torch.device) -> list[dict[str, float]]:
    """Measure the seconds of each call in each round: CPU time, or time on the GPU."""
    if device.type == "cpu":
        return [{name: taken.cpu for name, taken in times.items()} for times in alternated(calls, rounds)]
    return [{name: gpu_seconds(call) for name, call in calls.items()} for _ in range(rounds)]


def peak_of(device: torch.device) -> float | None:
    """Return the TFLOP/s of the device, if it is a GPU in `PEAKS`."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for known, peak in PEAKS.items() if known in name), None)


def formats(device: torch.device, ways: Mapping[str, Sequence[Way]]) -> tuple[str, ...]:
    """Return the number formats, as `--amp`, of the products: on a CPU those of the rows alone, for some are slow."""
    if device.type == "cuda":
        return ("off", "tf32", "bf16")
    used = {way.amp for kind in ways.values() for way in kind}
    return tuple(amp for amp in ("off", "bf16") if amp == "off" or amp in used)


def matmul_tflops(amp: str, device: torch.device) -> float:
    """Measure the best TFLOP/s of a product of two square matrices, the limit of device and libraries."""
    side, tries = (GPU_SIDE, GPU_TRIES) if device.type == "cuda" else (SIDE, TRIES)
    round_float32(device, amp)
    a, b = (torch.randn(side, side, device=device).to(dtype_of(device, amp)) for _ in range(2))
    with single_threaded_libraries():
        a @ b  # what is chosen at the first call is done
        rounds = timed({"product": lambda: a @ b}, tries, device)
    return 2 * side**3 / min(seconds["product"] for seconds in rounds) / 1e12


def table(record: Record, kind: str) -> str:
    """Tabulate medians over rounds, and ratios within a round."""
    cells, peak, rows = [], record["peak_tflops"], record["kinds"][kind]
    batch, flops = record["clips"][0], record["flops_per_clip"][kind]
    for name, row in rows.items():
        seconds = median(row["seconds"]) / batch
        rate = flops / seconds / 1e12
        faster = spread(ratios(rows[ORIGINAL]["seconds"], row["seconds"]))
        share = f"{100 * rate / (peak or matmul_rate(record, name)):.0f} %"
        speed = f"{1000 * seconds:.3g}", f"{1 / seconds:.4g}"
        cells.append([name, *speed, faster, f"{rate:.3g}", share, format_difference(row["difference"])])
    where = record["environment"]
    title = (
        f"{where['gpu'] if record['device'] != 'cpu' else where['cpu'] + ', one thread'}, torch {where['torch']}, "
        f"{record['network']}, clips {'x'.join(map(str, record['clips']))}, {flops / 1e9:.2f} GFLOP per clip"
    )
    mfu = "of the peak" if peak else "of a matrix product's"
    header = [kind, "ms per clip", "clips/s", "times as fast", "TFLOP/s", mfu, "logits differ by"]
    return f"{title}\n\n{markdown(header, cells)}"


def format_difference(difference: float | None) -> str:
    """Format how far logits are from the original's, None if the weights are others."""
    if difference is None:
        return "of other weights"
    return "0" if math.isclose(difference, 0) else f"{difference:.0e}"


def matmul_rate(record: Record, name: str) -> float:
    """Return the TFLOP/s of matrix products in the number format of a row; float16 has the rate of bf16."""
    rates, kind = record["matmul_tflops"], name.split(",")[0]
    return rates.get({"fp16": "bf16"}.get(kind, kind), rates["off"])


if __name__ == "__main__":
    cli.run(main, parse_args)
