"""Numerical parity of an exported file with its checkpoints, and its latency."""

import copy
import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, BinaryIO, NamedTuple

import torch

from engine.device.hardware import device_name
from models.inference.runtimes import Run
from sts_common.files import write_atomically
from sts_common.timing import Seconds, alternated

from .formats import Format
from .plan import INT8, Export
from .real_clips import Accuracies, compare_accuracy

BATCHES = (1, 2, 5)  # one clip, those it was traced with, and more
TIMED = (1, 8)
FLOAT32 = "float32, same format"
# Part of the largest score by which all may differ. Half precision has 11 bits, bfloat16 8, and networks are deep; that
# of int8 tells garbage from scores, of which the accuracy says how good they are.
LIMITS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1, INT8: 0.5}


class Parity(NamedTuple):
    """Deviation of a file from its checkpoints on clips of noise; of one in int8, on held-out clips."""

    difference: float  # the largest, relative to the largest score
    agreeing: int  # clips whose first class is the same
    clips: int  # all of them


class FileMeasurements(NamedTuple):
    """Measurements of a file before it got its name."""

    parity: Parity
    accuracies: Accuracies | None  # if it is quantised
    latency: list[str]  # lines of a table, if rounds were asked for


def write_checked(export: Export, kind: Format, path: Path, limit: float, rounds: int = 0) -> FileMeasurements:
    """Write a file, read it back as a user would and compare it; the file appears only if it passes.

    `limit` is the part of the largest score by which scores may differ; 0 `rounds` leave the latency table out. Raises
    ValueError if they differ by more, or are not finite, or the accuracy falls by more than is allowed.
    """
    written: list[FileMeasurements] = []
    parts: list[Path] = []

    def write(file: BinaryIO) -> None:
        part = Path(file.name)
        parts.append(part)
        kind.write(export, file)
        file.flush()
        written.append(measure(export, kind, part, path, limit, rounds))
        if kind.describe and (export.calibration or kind.weights):
            kind.describe(part, late_metadata(written[0], part, kind))

    def place(part: Path, path: Path) -> None:
        if kind.weights:
            path.unlink(missing_ok=True)  # no graph is ever beside the weights of another
            part.with_suffix(kind.weights).replace(path.with_suffix(kind.weights))
        part.replace(path)

    try:
        write_atomically(path, write, place=place)
    finally:
        for part in parts if kind.weights else []:
            part.with_suffix(kind.weights).unlink(missing_ok=True)
    return written[0]


def measure(export: Export, kind: Format, part: Path, path: Path, limit: float, rounds: int) -> FileMeasurements:
    """Read a file that has no name yet and compare it with its checkpoints; raises as `write_checked`."""
    run = kind.read(part, torch.device("cpu"))
    parity = compare(export, run)
    if not parity.difference <= limit:  # nor if it is not a number
        cure = "--tolerance accepts it"
        if export.dtype != "float32":
            cure = "use --dtype float32, or accept it by --tolerance"
        raise ValueError(
            f"{path}: not written, it is {parity.difference:.1e} of the largest score away from its checkpoints, "
            f"more than {limit:.0e}: {cure}"
        )
    accuracies = check_accuracy(export, run, path) if export.calibration else None
    timed = rounds and not kind.holds_weights_alone
    return FileMeasurements(parity, accuracies, measure_latency(export, kind, part, rounds, path.name) if timed else [])


def check_accuracy(export: Export, run: Run, path: Path) -> Accuracies:
    """Measure the accuracies on held-out videos; raises ValueError as `write_checked`."""
    assert export.calibration
    accuracy = compare_accuracy(export.calibration, export.reference, lambda clips: next(iter(run(clips).values())))
    drop = accuracy.checkpoints - accuracy.file
    if drop > export.calibration.max_drop + 1e-9:
        raise ValueError(
            f"{path}: not written, int8 takes the accuracy from {accuracy.checkpoints:.2f} % to {accuracy.file:.2f} % "
            f"of {accuracy.videos} held-out videos, by more than --max_drop {export.calibration.max_drop:g}: use "
            "--format openvino, more --calibrate_clips, or --dtype float32"
        )
    return accuracy


def late_metadata(written: FileMeasurements, part: Path, kind: Format) -> dict[str, Any]:
    """Return the metadata that is known only after a file is written, as plain values for the file itself."""
    files = [part, *([part.with_suffix(kind.weights)] if kind.weights else [])]
    facts: dict[str, Any] = {"parity": written.parity._asdict(), "bytes": sum(file.stat().st_size for file in files)}
    facts |= {"accuracy": written.accuracies._asdict()} if written.accuracies else {}
    return facts | ({"latency": written.latency} if written.latency else {})


def compare(export: Export, run: Run) -> Parity:
    """Compare a file with its checkpoints in batches of several sizes: of noise, or if quantised of held-out clips."""
    difference, agreeing = 0.0, 0
    for count in BATCHES:
        clips = export.calibration.held_out.batch(0, count) if export.calibration else export.clips(count, seed=count)
        reference = export.reference(clips)
        with torch.inference_mode():
            results = run(clips)
        logits = next(iter(results.values()))
        assert logits.dtype == torch.float32 and logits.shape == reference.shape
        if "probabilities" in results:
            torch.testing.assert_close(
                results["probabilities"], logits.softmax(-1), rtol=1e-4, atol=1e-5, equal_nan=True
            )
        apart = (logits - reference).abs().max() / reference.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
        difference = torch.maximum(torch.tensor(difference), apart).item()  # unlike max() it keeps what is no number
        agreeing += int((logits.argmax(1) == reference.argmax(1)).sum())
    return Parity(difference, agreeing, sum(BATCHES))


def measure_latency(export: Export, kind: Format, path: Path, rounds: int, name: str) -> list[str]:
    """Tabulate the latency of checkpoints, module and file on each kind of device that is here, in Markdown.

    The file at `path` will have the `name`; each is timed in so many `rounds`, of which medians count.
    """
    slow = export.dtype == "float16"  # torch has it on a CPU, tens of times as slow as float32
    devices = [*([] if slow else [torch.device("cpu")]), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    lines = ["float16 is for GPUs: it is not timed on the CPU"] if slow else []
    for device in devices:
        calls = timed_calls(export, kind, path, device, name)
        times = {count: measure_calls(export, calls, count, device, rounds) for count in TIMED}
        heads = " | ".join(f"{count} clip{'s' * (count > 1)}, ms (of CPU)" for count in TIMED)
        lines += [
            f"| {device_name(device)}, median of {rounds} | {heads} | {TIMED[-1]} clips, times as fast |",
            "|---|--:|--:|--:|",
        ]
        first = next(iter(calls))
        for way in calls:
            cells = " | ".join(in_ms(times[count][way]) for count in TIMED)
            pairs = zip(times[TIMED[-1]][first], times[TIMED[-1]][way], strict=True)
            lines.append(f"| {way} | {cells} | {median(a.wall / b.wall for a, b in pairs):.2f} |")
        if FLOAT32 in calls:
            lines.append(speedup(times[TIMED[0]][FLOAT32], times[TIMED[0]][name]))
    return lines


def speedup(float32: Sequence[Seconds], quantised: Sequence[Seconds]) -> str:
    """Say by how much int8 is faster than float32 in the same format, and what to do if it is not."""
    ratio = median(a.cpu / b.cpu for a, b in zip(float32, quantised, strict=True))
    cure = "" if ratio > 1 else ": it only saves memory here, and --dtype float32 is quicker"
    return f"int8 is {ratio:.2f} times as fast as float32 in this format on this processor, by CPU time of a clip{cure}"


def in_ms(times: Sequence[Seconds]) -> str:
    """Format medians of times, like "310.2 (601.5)"."""
    return f"{1000 * median(t.wall for t in times):.1f} ({1000 * median(t.cpu for t in times):.1f})"


def timed_calls(export: Export, kind: Format, path: Path, device: torch.device, name: str) -> dict[str, Run]:
    """Return the timed calls of a device, by name; arguments as `measure_latency`."""
    models = [copy.deepcopy(model).to(device) for model in export.models]
    copied = dataclasses.replace(export, models=models)
    calls: dict[str, Run] = {
        "checkpoints": lambda clips: {"scores": copied.reference(clips)},
        "folded": copied.deployed().to(device),
    }
    if device.type in kind.devices():
        if export.calibration:
            calls[FLOAT32] = in_float32(export, kind, device)
        calls[name] = kind.read(path, device)
    return calls


def in_float32(export: Export, kind: Format, device: torch.device) -> Run:
    """Return the call of the same export without quantisation."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "float32.part").open("wb") as file:
        kind.write(dataclasses.replace(export, dtype="float32", calibration=None), file)
        file.flush()
        return kind.read(Path(file.name), device)


def measure_calls(
    export: Export, calls: Mapping[str, Run], count: int, device: torch.device, rounds: int
) -> dict[str, list[Seconds]]:
    """Measure each call in each round, on `count` clips that are on the device."""
    clips = {name: x.to(device) for name, x in export.clips(count).items()}

    def call(run: Run) -> Callable[[], None]:
        def once() -> None:
            with torch.inference_mode():
                run(clips)
            if device.type == "cuda":
                torch.cuda.synchronize(device)

        return once

    once = {name: call(run) for name, run in calls.items()}
    for run in once.values():
        run()  # the first call takes memory and chooses kernels
    times = alternated(once, rounds)
    return {name: [seconds[name] for seconds in times] for name in once}
