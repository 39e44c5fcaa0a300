"""Numerical parity of an exported file with its checkpoints, and its latency."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import BinaryIO, NamedTuple

import torch

from engine.device.hardware import device_name
from sts_common.files import write_atomically
from sts_common.timing import Seconds, alternated

from .formats import Format, Run
from .plan import Export

BATCHES = (1, 2, 5)  # one clip, those it was traced with, and more
TIMED = (1, 8)
# Part of the largest score by which all may differ. Half precision has 11 bits, bfloat16 8, and networks are deep.
LIMITS = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}


class Parity(NamedTuple):
    """Deviation of a file from its checkpoints on clips of noise.

    Attributes:
        difference: The largest, relative to the largest score.
        agreeing: Clips whose first class is the same.
        clips: All of them.
    """

    difference: float
    agreeing: int
    clips: int


def write_checked(export: Export, kind: Format, path: Path, limit: float) -> Parity:
    """Write a file, read it back as a user would and compare it; the file appears only if it passes.

    Args:
        export: What is written.
        kind: How.
        path: Final name.
        limit: Part of the largest score by which scores may differ.

    Raises:
        ValueError: If they differ by more, or are no numbers.
    """
    found: list[Parity] = []

    def write(file: BinaryIO) -> None:
        kind.write(export, file)
        file.flush()
        found.append(compare(export, kind.read(Path(file.name), torch.device("cpu"))))
        if not found[0].difference <= limit:  # nor if it is not a number
            cure = (
                "--tolerance accepts it"
                if export.dtype == "float32"
                else "use --dtype float32, or accept it by --tolerance"
            )
            raise ValueError(
                f"{path}: not written, it is {found[0].difference:.1e} of the largest score away from its checkpoints, "
                f"more than {limit:.0e}: {cure}"
            )

    write_atomically(path, write)
    return found[0]


def compare(export: Export, run: Run) -> Parity:
    """Compare a file with its checkpoints on noise, in batches of several sizes.

    Raises:
        AssertionError: If probabilities are not those of the logits beside them.
    """
    difference, agreeing = 0.0, 0
    for count in BATCHES:
        clips = export.clips(count, seed=count)
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


def measure_latency(export: Export, kind: Format, path: Path, rounds: int) -> list[str]:
    """Tabulate the latency of checkpoints, module and file on each kind of device that is here, in Markdown.

    Args:
        export: What was written.
        kind: How.
        path: The file.
        rounds: How often each is timed, >= 1; medians count.
    """
    slow = export.dtype == "float16"  # torch has it on a CPU, tens of times as slow as float32
    devices = [*([] if slow else [torch.device("cpu")]), *([torch.device("cuda")] if torch.cuda.is_available() else [])]
    lines = ["float16 is for GPUs: it is not timed on the CPU"] if slow else []
    for device in devices:
        calls = ways(export, kind, path, device)
        times = {count: timed(export, calls, count, device, rounds) for count in TIMED}
        heads = " | ".join(f"{count} clip{'s' * (count > 1)}, ms (of CPU)" for count in TIMED)
        lines += [
            f"| {device_name(device)}, median of {rounds} | {heads} | {TIMED[-1]} clips, times as fast |",
            "|---|--:|--:|--:|",
        ]
        first = next(iter(calls))
        for name in calls:
            cells = " | ".join(in_ms(times[count][name]) for count in TIMED)
            pairs = zip(times[TIMED[-1]][first], times[TIMED[-1]][name], strict=True)
            lines.append(f"| {name} | {cells} | {median(a.wall / b.wall for a, b in pairs):.2f} |")
    return lines


def in_ms(times: Sequence[Seconds]) -> str:
    """Format medians of times, like "310.2 (601.5)"."""
    return f"{1000 * median(t.wall for t in times):.1f} ({1000 * median(t.cpu for t in times):.1f})"


def ways(export: Export, kind: Format, path: Path, device: torch.device) -> dict[str, Run]:
    """Return the timed calls of a device, by name."""
    models = [copy.deepcopy(model).to(device) for model in export.models]
    copied = dataclasses.replace(export, models=models)
    calls: dict[str, Run] = {
        "checkpoints": lambda clips: {"scores": copied.reference(clips)},
        "folded": copied.deployed().to(device),
    }
    if device.type in kind.devices():
        calls[path.name] = kind.read(path, device)
    return calls


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
