"""Measurements as Markdown tables and JSON."""

import os
import platform
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks.methods import REFERENCE
from sts_common.json_text import as_json

Record = dict[str, Any]

CLOSENESS = ("EPE all", "EPE visible", "px to cv2", "levels to cv2", "within 1")


def environment() -> dict[str, Any]:
    """Return the processor, cores, GPU and versions of this machine."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def cpu_model() -> str:
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def save(path: Path, record: Record) -> None:
    """Write the JSON, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(record, indent=1) + "\n", "utf-8")


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Format a table whose first column is text and the others numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows)) + "\n"


def column(rows: list[dict[str, float]], key: str) -> list[float]:
    """Return a number of every pair."""
    return [row[key] for row in rows]


def closeness(pairs: list[dict[str, float]]) -> list[str]:
    """Return the columns of `CLOSENESS`, means over pairs."""
    lengths = (f"{mean(column(pairs, key)):.3f}" for key in ("epe", "epe_visible", "px", "levels"))
    return [*lengths, f"{100 * mean(column(pairs, 'within_1')):.1f} %"]


def flow_table(record: Record) -> str:
    """Tabulate speed and accuracy of the solvers on the CPU, after a line of their conditions."""
    header = ["one core", "ms per pair", f"times as fast as {REFERENCE}", *CLOSENESS]
    rows = []
    for name, entry in record["cpu"].items():
        pairs = entry["pairs"]
        ratios = column(pairs, "ratio")
        rows.append(
            [
                name,
                f"{1000 * median(column(pairs, 'cpu_s')):.1f}",
                f"{median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})",
                *closeness(pairs),
            ]
        )
    where, (width, height) = record["environment"], record["size"]
    title = f"{where['cpu']}, OpenCV {where['opencv']}, torch {where['torch']}, {len(record['pairs'])} pairs"
    return f"{title} of {width}x{height}\n\n{markdown(header, rows)}"


def speed_table(record: Record) -> str:
    """Tabulate the end-point error by the speed of the fastest point: an average would be mostly of the largest."""
    speeds = sorted({pair["speed"] for pair in record["pairs"]})
    rows = []
    for name, entry in record["cpu"].items():
        errors = [
            mean(
                row["epe"] for row, pair in zip(entry["pairs"], record["pairs"], strict=True) if pair["speed"] == speed
            )
            for speed in speeds
        ]
        rows.append([name, *(f"{error:.3f}" for error in errors)])
    return markdown(["EPE at a peak speed of", *(f"{speed:g} px" for speed in speeds)], rows)


def gpu_table(record: Record) -> str:
    """Tabulate pairs per second on the GPU by batch, and the accuracy of the flow."""
    if not record["gpu"]:
        return "No CUDA GPU here: nothing about GPUs was measured.\n"
    solvers = record["gpu"]["solvers"]
    batches = sorted({count for entry in solvers.values() for count in entry["pairs_per_s"]})
    rows = [
        [name, *(f"{entry['pairs_per_s'][count]:.0f}" for count in batches), *closeness(entry["pairs"])]
        for name, entry in solvers.items()
    ]
    return markdown([f"{record['environment']['gpu']}, pairs/s in batches of", *map(str, batches), *CLOSENESS], rows)


def scaling_line(record: Record) -> str:
    """Describe the gain of a second thread, and whether a second core was free."""
    if not record["scaling"]:
        return ""
    one, two = ([times[threads] for times in record["scaling"]] for threads in (1, 2))
    ratios = [a.wall / b.wall for a, b in zip(one, two, strict=True)]
    best = min(times.wall for times in one) / min(times.wall for times in two)
    return (
        f"Two threads of the native kernel are {median(ratios):.2f} times as fast as one by the clock, median of "
        f"{len(ratios)} rounds, {best:.2f} in the best; they spend "
        f"{100 * median(b.cpu / a.cpu - 1 for a, b in zip(one, two, strict=True)):+.0f} % CPU time and had "
        f"{median(times.cpu / times.wall for times in two):.2f} cores to themselves.\n"
    )
