"""What benchmarks share: options, conditions of a measurement, ratios, tables and JSON."""

import os
import platform
from argparse import ArgumentTypeError, Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch

from engine.command import cli
from sts_common.json_text import as_json

Record = dict[str, Any]


def build_parser(name: str, description: str | None, rounds: int | None = None) -> cli.ArgumentParser:
    """Build a parser with the options of every benchmark; without default `rounds` there is no such option."""
    parser = cli.ArgumentParser(description=description)
    if rounds is not None:
        parser.add_argument("--rounds", default=rounds, type=int, help="in which what is compared takes turns")
    parser.add_argument("--out", type=Path, default=Path(f"results/benchmarks/{name}.json"), help="every number")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


def image_size(text: str) -> tuple[int, int]:
    """Parse the width and height of "340x256"."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= 16):
        raise ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, like 340x256, of at least 16")
    return int(width), int(height)


def check_least(opt: Namespace, **least: int) -> None:
    """Raise ValueError for an option, or a list of numbers, below the least that can be measured."""
    for name, bound in least.items():
        value = getattr(opt, name)
        if (smallest := min(value) if isinstance(value, list) else value) < bound:
            raise ValueError(f"--{name} {smallest} is not at least {bound}")


def choose(names: Iterable[str], texts: Sequence[str], subject: str) -> list[str]:
    """Return the names that hold one of the texts, or all if there are no texts; ValueError if a text is in none.

    A text that is a whole name chooses that alone.
    """
    names = list(names)
    whole = [name for name in names if name in texts]
    parts = [text for text in texts if text not in whole]
    chosen = [name for name in names if not texts or name in whole or holds(name, parts)]
    if unknown := [text for text in parts if not any(holds(name, [text]) for name in names)]:
        raise ValueError(f"{subject} holds {' or '.join(unknown)}; there are {', '.join(names)}")
    return chosen


def holds(name: str, texts: Iterable[str]) -> bool:
    """Whether a name holds one of the texts, in any case."""
    return any(text.lower() in name.lower() for text in texts)


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


def publish(path: Path, record: Record, *tables: str) -> Record:
    """Write the record as JSON, making its folder, print the tables, and return the record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_json(record, indent=1) + "\n", "utf-8")
    for table in tables:
        print(table)  # noqa: T201 - the result
    return record


def ratios(reference: Iterable[float], values: Iterable[float]) -> list[float]:
    """Return how many times as fast as the reference: its seconds over those of `values`, round by round."""
    return [a / b for a, b in zip(reference, values, strict=True)]


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Format the median, and the smallest and the largest."""
    middle, least, most = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return f"{middle} ({least}-{most})"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Format a table whose first column is text and the others numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows)) + "\n"
