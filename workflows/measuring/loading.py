"""Measurement of clips loaded per second on this machine, with the given options and with alternatives."""

import time
from argparse import Namespace
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cache, partial
from operator import itemgetter
from typing import Any

import torch
from tqdm import tqdm

from datasets import ClipLoader, build_dataset
from datasets.decoding.jpeg import native
from datasets.decoding.timing import STEPS
from datasets.loading.workers import default_workers
from datasets.video import VideoDataset
from sts_common.json_text import as_json

from ..shared.page_cache import forget
from ..shared.processes import single_threaded_libraries

COLD = 24  # clips that are read from the disk

ENOUGH = 1.1  # times as fast as now is worth changing something

Row = dict[str, Any]

Setting = dict[str, Any]

speed: Callable[[Row], float] = itemgetter("clips_per_second")


def main(opt: Namespace) -> dict[str, Any]:
    """Print the report; return it."""
    if opt.seconds <= 0:
        raise ValueError(f"--seconds {opt.seconds:g} is not more than 0")
    build = cache(partial(build_training, opt))
    cold, warm = disk_seconds(build(opt.decode, opt.decoder))
    settings = tqdm([*alternatives()], "settings", leave=False, disable=None)
    rows = [measure(opt, setting, build) for setting in settings]
    report: dict[str, Any] = {"cold_read_ms": cold, "warm_read_ms": warm, "settings": rows}
    report |= {"native": native.missing() or "yes", "advice": advice(rows, cold, warm)}
    print(as_json(report, indent=2) if opt.json else as_text(report))  # noqa: T201 - the result
    return report


def build_training(training: Namespace, decode: str, decoder: str) -> VideoDataset:
    """Build the dataset of training clips with some options and a decoder."""
    dataset = build_dataset(Namespace(**vars(training) | {"decode": decode, "decoder": decoder}), "train")
    assert isinstance(dataset, VideoDataset)
    return dataset


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


def measure(opt: Namespace, setting: Setting, build: Callable[[str, str], VideoDataset]) -> Row:
    """Measure clips per second with some options changed, and milliseconds per clip by step."""
    training = Namespace(**vars(opt) | setting)
    loader = ClipLoader(
        build(training.decode, training.decoder),
        batch_size=training.batch_size,
        train=True,
        n_workers=training.n_workers,
        loader=training.loader,
        seed=training.manual_seed,
        max_bad=training.max_bad,
    )
    clips, seconds, wall = 0, torch.zeros(len(STEPS), dtype=torch.float64), 0.0
    batches = endless(loader)
    next(batches)  # workers start
    start = time.perf_counter()
    while wall < opt.seconds:
        batch = next(batches)
        wall = time.perf_counter() - start
        clips += len(batch["label"])
        if "seconds" in batch:  # a batch of which nothing could be read has none
            seconds += batch["seconds"].double().sum(0)
    batches.close()
    if not clips:
        raise ValueError(f"{training.frame_dir}: no clip could be read; utils1/audit.py says what is damaged")
    settings = {name: getattr(training, name) for name in ("loader", "n_workers", "decoder", "decode")}
    settings |= {"loader": loader.kind, "n_workers": loader.workers}
    parts = {step: 1000 * x / clips for step, x in zip(STEPS, seconds.tolist(), strict=True)}
    return {"changed": setting, **settings, "clips_per_second": clips / wall, "ms_per_clip": parts}


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
    with single_threaded_libraries():
        cold, warm = ([reading(dataset, index) for index in chosen] for _ in range(2))
    return (1000 * sum(cold) / len(cold) if all(forgotten) else None), 1000 * sum(warm) / len(warm)


def reading(dataset: VideoDataset, index: int) -> float:
    """Measure the seconds that reading the files of one clip takes."""
    return float(dataset[0, index]["seconds"][STEPS.index("read")])


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
        cells.append(
            (
                str(row["n_workers"]),
                row["loader"],
                row["decoder"],
                row["decode"] + ("" if row["changed"] else "  <- your options"),
                f"{row['clips_per_second']:.0f}",
                *(f"{row['ms_per_clip'][step]:.2f}" for step in STEPS),
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            text.rjust(w) if i > 3 else text.ljust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    cold = "unknown" if report["cold_read_ms"] is None else f"{report['cold_read_ms']:.2f}"
    lines.append(f"reading the files of a clip, ms: {cold} from the disk, {report['warm_read_ms']:.2f} from memory")
    if report["native"] != "yes":
        lines.append(f"no native decoder: {report['native']}")
    return "\n".join([*lines, report["advice"]])
