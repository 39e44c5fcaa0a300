"""Measurement of clips loaded per second on this machine, with the given options and with alternatives."""

import glob
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from datasets import ClipLoader
from datasets.decoding.jpeg import native
from datasets.decoding.timing import STEPS
from datasets.loading.workers import default_workers
from datasets.video import VideoDataset
from sts_common.processors import single_threaded_libraries

from ..shared.tables import aligned

COLD = 24  # clips that are read from the disk
ENOUGH = 1.1  # times as fast as now is worth changing something

Row = dict[str, Any]
Setting = dict[str, Any]

speed: Callable[[Row], float] = itemgetter("clips_per_second")


def measure_loading(
    build: Callable[[Setting], ClipLoader], given: Setting, *, seconds: float = 4.0, source: str = "the loader"
) -> dict[str, Any]:
    """Measure clips loaded per second, with a setting and with others, as utils1/bench_loader.py does.

    A setting is "loader", "n_workers", "decoder" and "decode", as the options; `source` is the folder of the videos,
    for errors, and `seconds` are those of each setting. Returns plain values: "settings" with a row for each, "advice",
    and the milliseconds of reading a clip's files. Raises ValueError if no clip could be read.
    """
    if seconds <= 0:
        raise ValueError(f"--seconds {seconds:g} is not more than 0")
    dataset = build(given).dataset
    assert isinstance(dataset, VideoDataset)
    cold, warm = disk_seconds(dataset)
    rows: list[Row] = []
    for changed in tqdm([*alternatives()], "settings", leave=False, disable=None):
        loader = build(given | changed)
        rate, parts = measure(loader, seconds, source)
        used = given | changed | {"loader": loader.kind, "n_workers": loader.workers}
        rows.append({"changed": changed, **used, "clips_per_second": rate, "ms_per_clip": parts})
    report: dict[str, Any] = {"cold_read_ms": cold, "warm_read_ms": warm, "settings": rows}
    return report | {"native": native.missing() or "yes", "advice": advice(rows, cold, warm)}


def alternatives() -> Iterator[Setting]:
    """Return alternatives to the given options; the first changes none."""
    yield {}
    counts = [2**k for k in range(default_workers().bit_length()) if 2**k < default_workers()] + [default_workers()]
    for loader in ("threads", "processes"):
        for n_workers in counts:
            yield {"loader": loader, "n_workers": n_workers}
    if not native.missing():
        yield {"loader": "threads", "n_workers": counts[-1], "decode": "fast"}
        yield {"loader": "processes", "n_workers": counts[-1], "decoder": "python"}


def measure(loader: ClipLoader, limit: float, source: str) -> tuple[float, dict[str, float]]:
    """Measure clips per second for some seconds, and milliseconds per clip by step."""
    clips, seconds, wall = 0, torch.zeros(len(STEPS), dtype=torch.float64), 0.0
    batches = endless(loader)
    next(batches)  # workers start
    start = time.perf_counter()
    while wall < limit:
        batch = next(batches)
        wall = time.perf_counter() - start
        clips += len(batch["label"])
        if "seconds" in batch:  # a batch of which nothing could be read has none
            seconds += batch["seconds"].double().sum(0)
    batches.close()
    if not clips:
        raise ValueError(f"{source}: no clip could be read; utils1/audit.py says what is damaged")
    return clips / wall, {step: 1000 * x / clips for step, x in zip(STEPS, seconds.tolist(), strict=True)}


def endless(loader: ClipLoader) -> Generator[dict[str, Any], None, None]:
    """Yield batches of epoch after epoch."""
    epoch = 0
    while True:
        loader.set_epoch(epoch)
        yield from loader
        epoch += 1


def disk_seconds(dataset: VideoDataset) -> tuple[float | None, float]:
    """Measure the milliseconds of reading a clip's files from disk and from memory; None if no cache can be dropped."""
    chosen = range(0, len(dataset), max(1, len(dataset) // COLD))[:COLD]
    forgotten = [forget(dataset.videos[index].folder) for index in chosen]
    read = STEPS.index("read")
    with single_threaded_libraries():
        cold, warm = ([float(dataset[0, index]["seconds"][read]) for index in chosen] for _ in range(2))
    return (1000 * sum(cold) / len(cold) if all(forgotten) else None), 1000 * sum(warm) / len(warm)


def advice(rows: Sequence[Row], cold: float | None, warm: float) -> str:
    """Recommend an option, in a line."""
    now, best = rows[0], max((row for row in rows if row["decode"] == rows[0]["decode"]), key=speed)
    parts = now["ms_per_clip"]
    slowest = max(parts, key=lambda step: parts[step])
    text = ["nothing that was tried is much faster", f"most time goes into: {slowest}"]
    if speed(best) >= ENOUGH * speed(now):
        text[0] = f"use {words(best)}: {speed(best) / speed(now):.1f} times as fast as now"
    fast = max(rows, key=speed)
    if speed(fast) >= ENOUGH * speed(best):
        text.append(f"{words(fast)} is {speed(fast) / speed(now):.1f} times as fast, and changes pixels a little")
    if cold is not None and cold - warm > sum(parts.values()):
        text.append(f"files that are not in memory take {cold:.0f} ms more per clip: pack them with utils1/pack.py")
    elif slowest == "decode":
        text.append("frames kept by --cache are decoded only once")
    return "; ".join(text)


def words(row: Row) -> str:
    """Format changed options."""
    return " ".join(f"--{name} {value}" for name, value in row["changed"].items())


def as_text(report: dict[str, Any]) -> str:
    """Format the report for people."""
    cells = [("workers", "", "decoder", "", "clips/s", *(f"ms {step}" for step in STEPS))]
    for row in report["settings"]:
        setting = row["decode"] + ("" if row["changed"] else "  <- your options")
        numbers = f"{row['clips_per_second']:.0f}", *(f"{row['ms_per_clip'][step]:.2f}" for step in STEPS)
        cells.append((str(row["n_workers"]), row["loader"], row["decoder"], setting, *numbers))
    lines = aligned(cells, text=4)
    cold = "unknown" if report["cold_read_ms"] is None else f"{report['cold_read_ms']:.2f}"
    lines.append(f"reading the files of a clip, ms: {cold} from the disk, {report['warm_read_ms']:.2f} from memory")
    if report["native"] != "yes":
        lines.append(f"no native decoder: {report['native']}")
    return "\n".join([*lines, report["advice"]])


def forget(place: Path) -> bool:
    """Ask the system to drop what it keeps of a video from memory, by its folder, file, or files without endings.

    Returns whether it can be asked; it may do otherwise, and a folder in memory alone stays there.
    """
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in files_of(place):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def files_of(place: Path) -> Iterator[Path]:
    """Return the files of a video."""
    if place.is_dir():
        yield from (path for path in place.rglob("*") if path.is_file())
    elif place.is_file():
        yield place
    else:
        yield from place.parent.glob(f"{glob.escape(place.name)}.*")
