"""Causes of a result other than expected, as far as the records and the files show them.

Every cause is asked for its evidence, the likeliest first; what cannot be seen is said to be unknown, not left out.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from datasets import RGB, clip_starts
from datasets.records.clip_recipe import provenance
from datasets.stores.provenance import NOT_STATED, differences, show
from sts_common import counted

from .image_facts import jpeg_quality
from .measure import Comparison
from .subject import SEEN, VIEWS, System
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


def causes(system: System, found: Comparison) -> list[Cause]:
    """List all causes, the likeliest first."""
    listed = [Cause(name, verdict, evidence) for name, verdict, evidence in about_lists(system, found)]
    rows = [*about_images(system, found), *listed, about_metric(system, found), *about_clips(system, found)]
    return sorted(rows, key=lambda cause: ORDER.index(cause.verdict))


def about_images(system: System, found: Comparison) -> Iterator[Cause]:
    """Yield causes in the extraction of the images."""
    here, there = provenance(system.options(found.part)), system.state.get("recipe", {}).get("provenance", {})
    others = tuple(sorted((here | there).keys() - {*FLOW_KEYS, *GEOMETRY}))
    if system.stream.name != "flow":
        others = tuple(name for name in others if name != "library")
    yield Cause("other extractor, decoder or library", *compared(here, there, others or ("decoder",), POSSIBLE))
    yield Cause("frames per second", *seen(system, found, "frames", *compared(here, there, ("fps",))))
    yield Cause("size of the images", *seen(system, found, "image", *compared(here, there, ("short_side",))))
    if system.stream.name == "flow":
        yield Cause("flow algorithm, bound or quantisation", *compared(here, there, FLOW_KEYS))
    yield about_quality(system, found, here, there)


def compared(
    here: dict[str, Any], there: dict[str, Any], keys: tuple[str, ...], worst: str = LIKELY
) -> tuple[str, str]:
    """Return verdict and evidence of the values stated here and in the checkpoint."""
    found = list(differences(here, there, keys))
    known = [(name, a, b) for name, a, b in found if NOT_STATED not in (a, b)]
    if known:
        return worst, "; ".join(f"{name} {show(a)} here, {show(b)} in the checkpoint" for name, a, b in known)
    stated = [name for name in keys if name in here and name in there]
    if found or not stated:
        where = " or ".join(
            place
            for place, record in (("the data's frames.json and flow.json", here), ("the checkpoint", there))
            if not all(name in record for name in keys)
        )
        return UNKNOWN, f"{', '.join(name for name in keys if name not in stated)} not stated by {where}"
    return NO, "; ".join(f"{name} {show(here[name])} in both" for name in keys)


def seen(system: System, found: Comparison, key: str, verdict: str, evidence: str) -> tuple[str, str]:
    """Refine verdict and evidence by the images themselves, if the videos are those of the checkpoint."""
    there, here = system.stated(found.part), found.measured.data
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


def about_quality(system: System, found: Comparison, here: dict[str, Any], there: dict[str, Any]) -> Cause:
    """Compare the JPEG quality: stated, or read from the tables of a file."""
    name = "JPEG quality"
    verdict, evidence = compared(here, there, ("quality",))
    measured = jpeg_quality(found.measured.videos[0].folder) if system.stream == RGB else None
    stated = None if "algorithm" in there else there.get("quality")  # where both are stated, that of the flow counts
    if measured is None or verdict == LIKELY:
        return Cause(name, verdict, evidence)
    if stated is None:
        return Cause(
            name, UNKNOWN, f"the first image here has quality {measured}, the checkpoint does not state its own"
        )
    verdict = LIKELY if abs(measured - stated) >= QUALITY_STEP else NO
    return Cause(name, verdict, f"the first image here has quality {measured}, {stated} in the checkpoint")


def about_metric(system: System, found: Comparison) -> Cause:
    """Check whether the expected number is another metric."""
    name = "another metric, like clip for video accuracy"
    if found.part == "val":
        return Cause(name, NO, "both are the accuracy of one clip per validation video")
    expected, numbers = found.expected["top1"], dict(found.measured.metrics)
    top1 = numbers.pop("top1")
    numbers |= {f"validation {k}": v for k, v in system.state.get("metrics", {}).items() if k == "acc"}
    near = [kind for kind, value in numbers.items() if abs(value - expected) <= found.tolerance + 1e-9]
    told = ", ".join(f"{kind} {value:.4f}" for kind, value in numbers.items())
    if near:
        return Cause(name, LIKELY, f"{expected:.4f} is the {near[0]} measured here ({told})")
    if min(numbers["clip_top1"], top1) < expected < max(numbers["clip_top1"], top1):
        return Cause(
            name, POSSIBLE, f"{expected:.4f} lies between clips {numbers['clip_top1']:.4f} and videos {top1:.4f}"
        )
    return Cause(name, NO, f"none of {told}")


def about_clips(system: System, found: Comparison) -> Iterator[Cause]:
    """Yield causes in the choice of clips, their normalisation, and rounding."""
    yield about_options(system, found)
    if found.part == "test":
        yield about_tail(system, found)
    stated, used = system.state.get("recipe", {}).get("normalisation"), system.model.normalisation
    values = f"mean {used['mean']}, std {used['std']}"
    told = f"{values}, as stated by the checkpoint" if stated else f"not stated by the checkpoint; {values} are taken"
    yield Cause("normalisation", NO if stated else UNKNOWN, told)
    wanted, got = found.expected[found.fine], found.measured.metrics[found.fine]
    close = found.fine == "loss" and abs(wanted - got) <= NEAR * abs(wanted)
    yield Cause(
        "number format or kernels (--amp, --decoder, another machine)",
        POSSIBLE if close else NO,
        f"{found.fine} {got:.6g} here, {wanted:.6g} expected: {'so little may be rounding' if close else 'too much'}",
    )


def about_options(system: System, found: Comparison) -> Cause:
    """Find options that were given otherwise than the checkpoint has them."""
    name, opt = "other clips: options that were given", system.options(found.part)
    tested = system.state.get("tested", {}).get("options", {}) if found.part == "test" else {}
    stored = {**system.state.get("options", {}), **tested}
    names = SEEN if found.part == "val" else (*SEEN, *(VIEWS if tested else ()))
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


def about_tail(system: System, found: Comparison) -> Cause:
    """Check the frames after the last whole clip of a video."""
    name, opt = "last frames dropped or not (--tail, --sampling compat)", system.test_opt
    if opt.test_sampling != "all":
        return Cause(name, NO, f"--test_sampling {opt.test_sampling} takes no clips to the end")
    if found.source == "its record":
        return Cause(name, NO, f"--tail {opt.tail}, as recorded")
    drops = opt.tail == "drop" or opt.sampling == "compat"
    length, stride = opt.sample_duration, opt.clip_stride
    frames = [video.num_frames for video in found.measured.videos]
    odd = sum(
        len(clip_starts(n, length, "overlap", stride)) > len(clip_starts(n, length, "drop", stride)) for n in frames
    )
    how = "are dropped" if drops else "get a clip of their own"
    return Cause(name, POSSIBLE if odd else NO, f"in {odd:,} of {counted(len(frames), 'video')} the last frames {how}")
