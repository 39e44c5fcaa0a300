"""Image decoders and flow solvers of this machine: speed, missing ones and how to install them, in seconds."""

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torchvision
from numpy.typing import NDArray

from datasets.decoding.jpeg import native as loader
from datasets.synthetic import render
from engine.command import cli
from flow import FLOWS, LEARNED, available, build_flow
from flow.pairs import FlowSolver
from flow.tvl1 import native
from flow.tvl1.native import NativeTVL1
from flow.tvl1.parameters import build_parameters
from models.layers.gradient_errors import errors_by_torch
from sts_common import cores
from sts_common.processors import single_threaded_libraries

from ..extracting.devices import choose_backend
from ..shared.tables import aligned

WIDTH, HEIGHT = 340, 256  # what videos are extracted at
UCF101 = 2.5e6  # pairs of its 13,320 videos
BUDGET = 0.7  # seconds for a speed after a first call, unless one call takes longer
SECONDS = 15.0  # after which no further speed is measured
GPU_BATCH = 32
LOADER = "images by native"
LOADER_CURE = "everything it needs on Debian: apt-get install g++ libjpeg62-turbo-dev"
LAYERS = {"3x3x3": (3, 2), "7x7x7": (7, 4)}  # frames of a kernel and of a clip, with which oneDNN may be wrong
FORMATS = {"bf16": torch.bfloat16, "float32": torch.float32}
LIMITS = {torch.bfloat16: 0.02, torch.float32: 1e-4}  # errors that rounding does not reach

Row = dict[str, Any]


def about_machine() -> dict[str, Any]:
    """Return versions and hardware, in plain types."""
    disk = shutil.disk_usage(Path.cwd())
    backend, devices = choose_backend("tvl1", "auto", None)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [torch.cuda.get_device_properties(i) for i in range(count)]
    kernel, images = None, None
    if not native.missing():
        kernel = {"isa": native.isa_used(), "library": str(native.library_path())}
    if not loader.missing():
        images = {"isa": loader.isa_used(), "libjpeg": loader.jpeg_library(), "library": str(loader.library_path())}
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": torchvision.__version__,
        "opencv": cv2.__version__,
        "opencv_has_tvl1": hasattr(cv2, "optflow"),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpus": [{"name": gpu.name, "gigabytes": round(gpu.total_memory / 1e9)} for gpu in gpus],
        "auto": {"backend": backend, "devices": devices},
        "native": kernel,
        "images": images,
        "wrong_gradients": wrong_gradients(),
        "disk": {"folder": str(Path.cwd()), "free_gigabytes": round(disk.free / 1e9, 1)},
    }


def missing() -> dict[str, str]:
    """Return the features that cannot be used here, and how to install them."""
    flows = {f"{name} by {way}": reason for name in FLOWS for way, reason in available(name).items() if reason}
    reason = loader.missing()
    return {LOADER: f"{reason}; {LOADER_CURE}"} | flows if reason else flows


def wrong_gradients() -> list[str]:
    """Return the convolutions whose weight gradients this torch computes wrong on this CPU, of a few candidates."""
    torch.manual_seed(0)
    candidates = {
        f"{kernel} of {frames} frames in {amp}": (
            torch.nn.Conv3d(16, 16, span, padding=span // 2, bias=False),
            torch.randn(2, 16, frames, 4, 4),
            dtype,
        )
        for amp, dtype in FORMATS.items()
        for kernel, (span, frames) in LAYERS.items()
    }
    errors = errors_by_torch(candidates.values())
    limits = [LIMITS[dtype] for *_, dtype in candidates.values()]
    return [name for name, error, limit in zip(candidates, errors, limits, strict=True) if error > limit]


def about_gradients(wrong: Sequence[str]) -> str:
    """Summarise the result of `wrong_gradients` in one line."""
    if not wrong:
        return "training on this CPU: weight gradients of short clips by torch are right"
    return (
        f"training on this CPU: torch computes weight gradients wrong ({', '.join(wrong)}): they are computed another "
        "way here, see docs/speed.md"
    )


def trials() -> Iterator[tuple[Row, Callable[[], FlowSolver], int]]:
    """Return the solvers to measure: description, builder, and the pairs that are solved at once."""
    reasons, most = available("tvl1"), cores()
    if not reasons["native"]:
        for isa in native.isa_paths()[1:]:
            row = {"flow": "tvl1", "backend": "native", "preset": "opencv", "on": f"1 core, {isa}"}
            yield row, partial(NativeTVL1, build_parameters("opencv", {}), isa=isa, threads=1), 1
        row = {"flow": "tvl1", "backend": "native", "preset": "fast", "on": "1 core"}
        yield row, partial(build_flow, "tvl1", "native", "fast", threads=1), 1
        row = {"flow": "tvl1", "backend": "native", "preset": "opencv", "on": f"{most} cores"}
        yield row, partial(build_flow, "tvl1", "native", threads=most), 4 * most
    places = [("torch", "1 core", "cpu", 1), ("opencv", "1 core", None, 1)]
    if not reasons["cuda"]:
        places += [("cuda", "GPU 0", "cuda:0", GPU_BATCH), ("torch", "GPU 0", "cuda:0", GPU_BATCH)]
    for backend, where, device, pairs in places:
        if not reasons[backend]:
            row = {"flow": "tvl1", "backend": backend, "preset": "opencv", "on": where}
            yield row, partial(build_flow, "tvl1", backend, device=device), pairs
    for name in ("dis", "farneback"):
        row = {"flow": name, "backend": "opencv", "preset": "-", "on": "1 core"}
        yield row, partial(build_flow, name, "opencv"), 1


def measure_all(deadline: float) -> Iterator[Row]:
    """Return the rows of `trials` with "pairs_per_second", or "problem" where a solver fails."""
    video, _ = render("star_sway", 0, 0, size=WIDTH, frames=2)
    first, second = (cv2.cvtColor(frame[:HEIGHT], cv2.COLOR_BGR2GRAY) for frame in video)
    for row, build, pairs in trials():
        if time.perf_counter() > deadline:
            yield row | {"problem": "not measured, it takes too long here"}
            continue
        try:
            speed = measure(build(), np.stack([first] * pairs), np.stack([second] * pairs))
            yield row | {"pairs_per_second": round(speed, 2)}
        except (ValueError, RuntimeError, OSError) as error:
            yield row | {"problem": cli.one_line(error)}


def measure(solve: FlowSolver, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> float:
    """Measure pairs per second, the transfer to a GPU and back included, at the best of several calls."""
    solve(previous, following)  # the first call compiles, or takes memory
    best, end = np.inf, time.perf_counter() + BUDGET
    while True:
        start = time.perf_counter()
        solve(previous, following)
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return len(previous) / best


def as_text(report: dict[str, Any]) -> str:
    """Format the report for people."""
    machine = report["machine"]
    gpus = ", ".join(f"{gpu['name']} ({gpu['gigabytes']} GB)" for gpu in machine["gpus"]) or "no GPU"
    kernel, images = machine["native"], machine["images"]
    lines = [
        f"{machine['system']}, {machine['cores']} cores, {gpus}",
        f"Python {machine['python']}, torch {machine['torch']}, torchvision {machine['torchvision']}, "
        f"OpenCV {machine['opencv']} {'with' if machine['opencv_has_tvl1'] else 'without'} TV-L1",
        f"native kernel: {kernel['isa']}, {kernel['library']}" if kernel else "native kernel: none, see below",
        f"images: native decoder, {images['isa']}, {images['libjpeg']}, {images['library']}"
        if images
        else "images: decoded in Python, which takes twice as long, see below",
        about_gradients(machine["wrong_gradients"]),
        f"extraction by default: {machine['auto']['backend']} on {', '.join(machine['auto']['devices'])}",
        f"disk: {machine['disk']['free_gigabytes']} GB free at {machine['disk']['folder']}",
        "",
        f"pairs of {WIDTH}x{HEIGHT} per second, and hours for UCF101 ({UCF101 / 1e6:g} million pairs)",
    ]
    cells = [("flow", "backend", "preset", "on", "pairs/s", "hours")]
    for row in report["speeds"]:
        speed = row.get("pairs_per_second")
        numbers = (f"{speed:.1f}", f"{UCF101 / speed / 3600:.1f}") if speed else ("-", row["problem"])
        cells.append((row["flow"], row["backend"], row["preset"], row["on"], *numbers))
    lines += [
        f"{line}  {hours:>6}" for line, (*_, hours) in zip(aligned([c[:5] for c in cells], 4), cells, strict=True)
    ]
    lines += ["", *(f"missing: {what}: {reason}" for what, reason in report["missing"].items())]
    if (machine["load"] or 0) > machine["cores"]:
        lines.append(f"others are at work here (load {machine['load']}), so the speeds are too low")
    lines.append(f"{' and '.join(LEARNED)} need trained weights: not measured; this took {report['seconds']} s")
    return "\n".join(lines)


def examine() -> dict[str, Any]:
    """Measure the flow solvers of this machine, and list what it has and lacks, as plain values."""
    start = time.perf_counter()
    with single_threaded_libraries():
        speeds = list(measure_all(start + SECONDS))
    seconds = round(time.perf_counter() - start, 1)
    return {"machine": about_machine(), "missing": missing(), "speeds": speeds, "seconds": seconds}
