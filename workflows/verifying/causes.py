"""Causes of a result other than expected, as far as the records and the files show them.

Every cause is asked for its evidence, the likeliest first; what cannot be seen is said to be unknown, not left out.
"""

from collections.abc import Iterator
from itertools import starmap
from pathlib import Path
from typing import Any, NamedTuple

from datasets import FLOW, RGB, clip_starts
from datasets.records.clip_recipe import provenance
from datasets.stores.provenance import NOT_STATED, differences, show
from opts import VALIDATION, VIEWS
from sts_common import counted

from .image_facts import jpeg_quality
from .measure import Comparison
from .subject import System
from .video_lists import about_lists

LIKELY, POSSIBLE, UNKNOWN, NO = "likely", "possible", "not known", "no"
ORDER = (LIKELY, POSSIBLE, UNKNOWN, NO)

FLOW_KEYS = ("algorithm", "parameters", "bound", "quantisation")
GEOMETRY = ("fps", "short_side", "quality")
NEAR = 1e-2  # relative difference of two losses that rounding alone may make
QUALITY_STEP = 5  # of JPEG, below which hardly a grey level changes


class Cause(NamedTuple):
    """A possible cause, its verdict, and the evidence."""

    name: str
    verdict: str
    evidence: str


def causes(system: System, comparison: Comparison) -> list[Cause]:
    """List all causes, the likeliest first."""
    rows = [
        *about_images(system, comparison),
        *starmap(Cause, about_lists(system, comparison)),
        about_metric(system, comparison),
        *about_clips(system, comparison),
    ]
    return sorted(rows, key=lambda cause: ORDER.index(cause.verdict))


def about_images(system: System, comparison: Comparison) -> Iterator[Cause]:
    """Yield causes in the extraction of the images."""
    opt, there = system.options(comparison.part), system.state.get("recipe", {}).get("provenance", {})
    here = provenance(Path(opt.frame_dir), layout=opt.layout, video_fps=opt.video_fps, flow_source=opt.flow_source)
    others = tuple(sorted((here | there).keys() - {*FLOW_KEYS, *GEOMETRY}))
    if system.stream.source != FLOW.name:
        others = tuple(name for name in others if name != "library")
    yield Cause("other extractor, decoder or library", *compare(here, there, others or ("decoder",), POSSIBLE))
    yield Cause("frames per second", *refine(system, comparison, "frames", *compare(here, there, ("fps",))))
    yield Cause("size of the images", *refine(system, comparison, "image", *compare(here, there, ("short_side",))))
    if system.stream.is_flow:
        yield Cause("flow algorithm, bound or quantisation", *compare(here, there, FLOW_KEYS))
    yield about_quality(system, comparison, here, there)


def compare(here: dict[str, Any], there: dict[str, Any], keys: tuple[str, ...], worst: str = LIKELY) -> tuple[str, str]:
    """Return verdict and evidence of the values stated here and in the checkpoint."""
    differing = list(differences(here, there, keys))
    known = [(name, a, b) for name, a, b in differing if NOT_STATED not in (a, b)]
    if known:
        return worst, "; ".join(f"{name} {show(a)} here, {show(b)} in the checkpoint" for name, a, b in known)
    stated = [name for name in keys if name in here and name in there]
    if differing or not stated:
        where = " or ".join(
            place
            for place, record in (("the data's frames.json and flow.json", here), ("the checkpoint", there))
            if not all(name in record for name in keys)
        )
        return UNKNOWN, f"{', '.join(name for name in keys if name not in stated)} not stated by {where}"
    return NO, "; ".join(f"{name} {show(here[name])} in both" for name in keys)


def refine(system: System, comparison: Comparison, key: str, verdict: str, evidence: str) -> tuple[str, str]:
    """Refine verdict and evidence by the images themselves, if the videos are those of the checkpoint."""
    there, here = system.stated(comparison.part), comparison.measured.data
    if verdict == LIKELY or there.get("sha256") != here["sha256"] or not there.get(key) or not here[key]:
        return verdict, evidence
    texts = [f"{data[key]:,} in all" if key == "frames" else "x".join(map(str, data[key])) for data in (here, there)]
    what = "frames of the same videos" if key == "frames" else "height and width of the first video's images"
    if there[key] == here[key]:
        return NO, f"{what}: {texts[0]}, as in the checkpoint"
    evidence = f"{what}: {texts[0]} here, {texts[1]} in the checkpoint"
    if key == "frames" and abs(here[key] - there[key]) == here["videos"]:
        evidence += "; one per video, so on one side all count, on the other those that have a flow (--only_RGB)"
    return LIKELY, evidence


def about_quality(system: System, comparison: Comparison, here: dict[str, Any], there: dict[str, Any]) -> Cause:
    """Compare the JPEG quality: stated, or read from the tables of a file."""
    name = "JPEG quality"
    verdict, evidence = compare(here, there, ("quality",))
    measured = jpeg_quality(comparison.measured.videos[0].folder) if system.stream.source == RGB.name else None
    stated = None if "algorithm" in there else there.get("quality")  # where both are stated, that of the flow counts
    if measured is None or verdict == LIKELY:
        return Cause(name, verdict, evidence)
    evidence = f"the first image here has quality {measured}"
    if stated is None:
        return Cause(name, UNKNOWN, f"{evidence}, the checkpoint does not state its own")
    verdict = LIKELY if abs(measured - stated) >= QUALITY_STEP else NO
    return Cause(name, verdict, f"{evidence}, {stated} in the checkpoint")


def about_metric(system: System, comparison: Comparison) -> Cause:
    """Check whether the expected number is another metric."""
    name = "another metric, like clip for video accuracy"
    if comparison.part == "val":
        return Cause(name, NO, "both are the accuracy of one clip per validation video")
    if comparison.exact:
        return Cause(name, NO, "the video accuracy is the expected number")
    expected, numbers = comparison.expected["top1"], dict(comparison.measured.metrics)
    top1 = numbers.pop("top1")
    numbers |= {f"validation {k}": v for k, v in system.state.get("metrics", {}).items() if k == "acc"}
    near = [kind for kind, value in numbers.items() if abs(value - expected) <= comparison.tolerance + 1e-9]
    measurements = ", ".join(f"{kind} {value:.4f}" for kind, value in numbers.items())
    if near:
        return Cause(name, LIKELY, f"{expected:.4f} is the {near[0]} measured here ({measurements})")
    if min(numbers["clip_top1"], top1) < expected < max(numbers["clip_top1"], top1):
        return Cause(
            name, POSSIBLE, f"{expected:.4f} lies between clips {numbers['clip_top1']:.4f} and videos {top1:.4f}"
        )
    return Cause(name, NO, f"none of {measurements}")


def about_clips(system: System, comparison: Comparison) -> Iterator[Cause]:
    """Yield causes in the choice of clips, their normalisation, and rounding."""
    yield about_options(system, comparison)
    if comparison.part == "test":
        yield about_tail(system, comparison)
    stated, used = system.state.get("recipe", {}).get("normalisation"), system.model.normalisation
    values = f"mean {used['mean']}, std {used['std']}"
    if stated:
        yield Cause("normalisation", NO, f"{values}, as stated by the checkpoint")
    else:
        yield Cause("normalisation", UNKNOWN, f"not stated by the checkpoint; {values} are taken")
    expected, measured = comparison.expected[comparison.fine], comparison.measured.metrics[comparison.fine]
    close = comparison.fine == "loss" and abs(expected - measured) <= NEAR * abs(expected)
    yield Cause(
        "number format or kernels (--amp, --decoder, another machine)",
        POSSIBLE if close else NO,
        f"{comparison.fine} {measured:.6g} here, {expected:.6g} expected: "
        f"{'so little may be rounding' if close else 'too much'}",
    )


def about_options(system: System, comparison: Comparison) -> Cause:
    """Find options that were given otherwise than the checkpoint has them."""
    name, opt = "other clips: options that were given", system.options(comparison.part)
    tested = system.state.get("tested", {}).get("options", {}) if comparison.part == "test" else {}
    stored = {**system.state.get("options", {}), **tested}
    names = VALIDATION if comparison.part == "val" else (*VALIDATION, *(VIEWS if tested else ()))
    changed = [
        f"--{n} {getattr(opt, n)} here, {stored[n]} in the checkpoint"
        for n in names
        if n in stored and n not in ("missing", "batch_size") and stored[n] != getattr(opt, n)
    ]
    if changed:
        return Cause(name, LIKELY, "; ".join(changed))
    if not stored:
        return Cause(name, UNKNOWN, "the checkpoint states no options, so clips are cut as the defaults say")
    return Cause(name, NO, "all as in the checkpoint")


def about_tail(system: System, comparison: Comparison) -> Cause:
    """Check the frames after the last whole clip of a video."""
    name, opt = "last frames dropped or not (--tail, --sampling compat)", system.test_opt
    if opt.test_sampling != "all":
        return Cause(name, NO, f"--test_sampling {opt.test_sampling} takes no clips to the end")
    if comparison.source == "its record":
        return Cause(name, NO, f"--tail {opt.tail}, as recorded")
    drops = opt.tail == "drop" or opt.sampling == "compat"
    length, stride = opt.sample_duration, opt.clip_stride
    frames = [video.num_frames for video in comparison.measured.videos]
    differing = sum(
        len(clip_starts(n, length, "overlap", stride)) > len(clip_starts(n, length, "drop", stride)) for n in frames
    )
    how = "are dropped" if drops else "get a clip of their own"
    evidence = f"in {differing:,} of {counted(len(frames), 'video')} the last frames {how}"
    return Cause(name, POSSIBLE if differing else NO, evidence)
