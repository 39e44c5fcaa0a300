"""Why a number is another one than expected: what only scoring again can show, on a sample of the videos."""

import math
from collections.abc import Iterator
from functools import partial

from torch import Tensor

from models.normalisation import NORMALISATIONS, known_normalisation
from sts_common import counted

from .causes import EXPLAINS, LIKELY, NO, POSSIBLE, Cause
from .lists import SPLITS, lists_here
from .measure import Change, Comparison, measure_changed
from .system import System

Trial = tuple[str, Change]

NEARLY_ALL, HALF = 0.1, 0.5  # of a difference, which a change leaves

# Beside those of `models.normalisation`: the grey level of no motion, by who rounds and who truncates.
ZERO_AT = {2: {f"zero at {level:g}": {"mean": [level] * 2, "std": [1.0] * 2} for level in (127.0, 128.0)}}


def turned(clips: Tensor, channel: int) -> Tensor:
    """Flow clips (N, 2, T, H, W) with one direction turned round: 255 - x is a change of sign about 127.5."""
    clips = clips.clone()
    clips[:, channel] = 255 - clips[:, channel]
    return clips


OTHER_CHANNELS = {
    "rgb": {"red and blue swapped": Change(clips=lambda clips: clips.flip(1))},
    "flow": {
        "x and y of the flow swapped": Change(clips=lambda clips: clips.flip(1)),
        "x of the flow the other way": Change(clips=partial(turned, channel=0)),
        "y of the flow the other way": Change(clips=partial(turned, channel=1)),
        "both of the flow the other way": Change(clips=lambda clips: 255 - clips),
    },
}


def trials(system: System, part: str) -> Iterator[Trial]:
    """What is tried, the likeliest first."""
    yield from other_clips(system, part)
    yield from OTHER_CHANNELS[system.stream.name].items()
    known = {name: known_normalisation(name, system.stream) for name in NORMALISATIONS}
    for name, values in (known | ZERO_AT.get(system.stream.channels, {})).items():
        if values and not same(values, system.model.normalisation):
            yield f"normalisation {name}", Change(normalisation=values)


def other_clips(system: System, part: str) -> Iterator[Trial]:
    """Other frames, other parts of them and, where nothing tells which videos are meant, other videos."""
    opt = system.options(part)
    windows = part == "test" and opt.test_sampling == "all"
    if windows and opt.sampling == "corrected":
        other = "drop" if opt.tail == "overlap" else "overlap"
        yield f"--tail {other}", Change({"tail": other})
    if part == "test" and not system.stated(part):
        known = lists_here(opt)
        here = {split: known.get(f"the test part of split {split}") for split in SPLITS}
        for split, digest in here.items():
            if digest and digest != here[opt.split]:
                yield f"--split {split}", Change({"split": split, "missing": "skip"})
    if not windows:
        other = "compat" if opt.sampling == "corrected" else "corrected"
        yield f"--sampling {other}", Change({"sampling": other})
    side = None if opt.short_side else math.ceil(opt.sample_size * 8 / 7)
    yield f"--short_side {side}" if side else "without --short_side", Change({"short_side": side})


def same(one: dict[str, list[float]], other: dict[str, list[float]]) -> bool:
    """Whether two normalisations are equal in float32."""
    return all(math.isclose(a, b, rel_tol=1e-6) for name in one for a, b in zip(one[name], other[name], strict=True))


def tried_causes(system: System, found: Comparison, sample: int) -> list[Cause]:
    """Score a sample of the videos with each change; one that leads to the expected number is a cause.

    What a change makes of the sample is taken for what it would make of all videos.

    Args:
        system: The checkpoint and the data.
        found: The difference to explain.
        sample: Videos, evenly spread over the list.
    """
    part, key = found.part, found.fine
    plain = measure_changed(system, part, Change(), sample)
    everything = sample >= found.measured.data["videos"]
    many = "all videos" if everything else counted(sample, "video")
    rows = []
    for name, change in trials(system, part):
        changed = measure_changed(system, part, change, sample)
        would = {k: found.measured.metrics[k] + changed[k] - plain[k] for k in plain}
        left = off(found, would) / max(off(found, found.measured.metrics), 1e-12)
        told = f"{key} {plain[key]:.4f} becomes {changed[key]:.4f} on {many}; {found.expected[key]:.4f} expected of all"
        certain = everything and found.agrees(would)
        rows.append((left, Cause(name, EXPLAINS if certain else judged(left), told)))
    return [cause for _, cause in sorted(rows, key=lambda row: row[0])]


def judged(left: float) -> str:
    """How likely a change is a cause that leaves so much of the difference."""
    return LIKELY if left < NEARLY_ALL else POSSIBLE if left < HALF else NO


def off(found: Comparison, metrics: dict[str, float]) -> float:
    """How far metrics are from the expected ones."""
    return abs(metrics[found.fine] - found.expected[found.fine])
