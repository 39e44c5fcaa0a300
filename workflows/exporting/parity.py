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
WHOLE = "float32, same format"
# Part of the largest score by which all may differ. Half precision has 11 bits, bfloat16 8, and networks are deep; that
# of int8 tells garbage from scores, of which the accuracy says how good they are.
LIMITS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1, INT8: 0.5}


class Parity(NamedTuple):
    """Deviation of a file from its checkpoints on clips of noise; of one in int8, on held-out clips.

    Attributes:
        difference: The largest, relative to the largest score.
        agreeing: Clips whose first class is the same.
        clips: All of them.
    """

    difference: float
    agreeing: int
    clips: int


class FileMeasurements(NamedTuple):
    """Measurements of a file before it got its name.

    Attributes:
        parity: Its deviation from the checkpoints.
        accuracies: Of checkpoints and file, if it is quantised.
        latency: Lines of a table, if that was asked for.
    """

    parity: Parity
    accuracies: Accuracies | None
    latency: list[str]


def write_checked(export: Export, kind: Format, path: Path, limit: float, rounds: int = 0) -> FileMeasurements:
    """Write a file, read it back as a user would and compare it; the file appears only if it passes.

    Args:
        export: What is written.
        kind: How.
        path: Final name.
        limit: Part of the largest score by which scores may differ.
        rounds: Of the latency table; 0 leaves it out.

    Raises:
        ValueError: If they differ by more, or are no numbers, or the accuracy falls by more than is allowed.
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
            kind.describe(part, stated(written[0], part, kind))

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
    """Measure the accuracies of checkpoints and file on held-out videos.

    Raises:
        ValueError: If that of the file is lower by more than is allowed, or a score is no number.
    """
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


def stated(written: FileMeasurements, part: Path, kind: Format) -> dict[str, Any]:
    """Return what is known of a file only when it is written, as plain values for the file itself."""
    files = [part, *([part.with_suffix(kind.weights)] if kind.weights else [])]
    facts: dict[str, Any] = {"parity": written.parity._asdict(), "bytes": sum(file.stat().st_size for file in files)}
    facts |= {"accuracy": written.accuracies._asdict()} if written.accuracies else {}
    return facts | ({"latency": written.latency} if written.latency else {})


def compare(export: Export, run: Run) -> Parity:
    """Compare a file with its checkpoints in batches of several sizes: of noise, or if quantised of held-out clips.

    Raises:
        AssertionError: If probabilities are not those of the logits beside them.
    """
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


def measure_latency(export: Export, kind: Format, path: Path, rounds: int, name: str = "") -> list[str]:
    """Tabulate the latency of checkpoints, module and file on each kind of device that is here, in Markdown.

    Args:
        export: What was written.
        kind: How.
        path: The file.
        rounds: How often each is timed, >= 1; medians count.
        name: That it will have; "" for that of `path`.
    """
    slow = export.dtype == "float16"  # torch has it on a CPU, tens of times as slow as float32
    devices = [*([] if slow else [torch.device("cpu")]), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    lines = ["float16 is for GPUs: it is not timed on the CPU"] if slow else []
    for device in devices:
        calls = ways(export, kind, path, device, name)
        times = {count: timed(export, calls, count, device, rounds) for count in TIMED}
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
        if WHOLE in calls and (name or path.name) in calls:
            lines.append(gain(times[TIMED[0]][WHOLE], times[TIMED[0]][name or path.name]))
    return lines


def gain(whole: Sequence[Seconds], quantised: Sequence[Seconds]) -> str:
    """Say by how much int8 is faster than float32 in the same format, and what to do if it is not."""
    ratio = median(a.cpu / b.cpu for a, b in zip(whole, quantised, strict=True))
    cure = "" if ratio > 1 else ": it only saves memory here, and --dtype float32 is quicker"
    return f"int8 is {ratio:.2f} times as fast as float32 in this format on this processor, by CPU time of a clip{cure}"


def in_ms(times: Sequence[Seconds]) -> str:
    """Format medians of times, like "310.2 (601.5)"."""
    return f"{1000 * median(t.wall for t in times):.1f} ({1000 * median(t.cpu for t in times):.1f})"


def ways(export: Export, kind: Format, path: Path, device: torch.device, name: str = "") -> dict[str, Run]:
    """Return the timed calls of a device, by name; arguments as `measure_latency`."""
    models = [copy.deepcopy(model).to(device) for model in export.models]
    copied = dataclasses.replace(export, models=models)
    calls: dict[str, Run] = {
        "checkpoints": lambda clips: {"scores": copied.reference(clips)},
        "folded": copied.deployed().to(device),
    }
    if device.type in kind.devices():
        if export.calibration:
            calls[WHOLE] = in_float32(export, kind, device)
        calls[name or path.name] = kind.read(path, device)
    return calls


def in_float32(export: Export, kind: Format, device: torch.device) -> Run:
    """Return the call of the same export without quantisation."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "float32.part").open("wb") as file:
        kind.write(dataclasses.replace(export, dtype="float32", calibration=None), file)
        file.flush()
        return kind.read(Path(file.name), device)


def timed(
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
