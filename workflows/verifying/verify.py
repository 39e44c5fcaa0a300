"""Verification of a checkpoint: score it again, compare with its stated numbers, and explain differences."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from engine import checkpoint
from engine.checkpoint import tensor_file
from opts import VERIFIED
from sts_common import counted

from .causes import LIKELY, Cause, causes
from .measure import Comparison, Measurement, measure
from .subject import System

NAMES = {"val": "validation clips", "test": "test videos"}
METRICS = {"acc": "accuracy", "loss": "loss", "top1": "top-1"}
EXPECT = "--expect"  # who expects a number that the checkpoint does not state


def verify(
    system: System,
    *,
    parts: Sequence[str] = tuple(NAMES),
    expect: float | None = None,
    tolerance: float = 0.002,
    writes_record: bool = False,
) -> dict[str, Any]:
    """Score a checkpoint again, and explain numbers that differ, as utils1/verify.py does.

    `parts` are "val" for validation clips, "test" for test videos; `expect` is the video accuracy on the test list,
    None for what the checkpoint states; `writes_record`: what the test measures is written into the checkpoint, unless
    a number differs. Returns "equal", "verdict", "comparisons", "causes" by part, "notes", what differs where the
    numbers agree all the same, as accuracies of other images may, and "recorded", None if nothing was. Raises
    ValueError if there is nothing to compare with.
    """
    comparisons, tested = compare(system, parts, expect, tolerance, measured_anyway=writes_record)
    different = [comparison for comparison in comparisons if not comparison.equal]
    why = {comparison.part: causes(system, comparison) for comparison in different}
    close = [comparison for comparison in comparisons if comparison.equal and not comparison.same_pixels]
    likely = [cause for comparison in close for cause in causes(system, comparison) if cause.verdict == LIKELY]
    recorded = record(system, tested) if writes_record and tested and not different else None
    # A number is of one split, and papers mostly have the mean over all.
    lists = {part: f"{system.options(part).dataset} split {system.options(part).split}" for part in NAMES}
    return {
        "equal": not different,
        "verdict": verdict(comparisons, why, tested if writes_record else None, lists),
        "comparisons": [comparison.as_plain() for comparison in comparisons],
        "causes": {part: [cause._asdict() for cause in rows] for part, rows in why.items()},
        "notes": [f"{cause.name}: {cause.evidence}" for cause in likely],
        "recorded": recorded,
    }


def compare(
    system: System, parts: Sequence[str], expect: float | None, tolerance: float, *, measured_anyway: bool
) -> tuple[list[Comparison], Measurement | None]:
    """Score the parts with a known number; the second value is the test's measurement, if it was scored.

    With `measured_anyway` the test is scored even if no number is known. Raises ValueError if none is known and none is
    to be recorded.
    """
    comparisons, tested = [], None
    stored = system.state.get("metrics", {})
    validation = {name: stored[name] for name in ("acc", "loss") if isinstance(stored.get(name), int | float)}
    recorded = system.state.get("tested", {}).get("top1")
    expected = recorded if expect is None else expect
    scores_test = "test" in parts and (expected is not None or measured_anyway)
    if not ("val" in parts and "acc" in validation) and not scores_test:
        raise ValueError(
            f"{system.file}: states no number to compare with: give its video accuracy with --expect, or write what is "
            "measured into it with --record"
        )
    if "val" in parts and "acc" in validation:
        comparisons.append(Comparison("val", "the checkpoint", validation, measure(system, "val"), tolerance))
    if scores_test:
        tested = measure(system, "test")
        if expect is not None:
            comparisons.append(Comparison("test", EXPECT, {"top1": expect}, tested, tolerance))
        elif not measured_anyway:
            comparisons.append(Comparison("test", "its record", {"top1": float(recorded)}, tested, tolerance))
    return comparisons, tested


def verdict(
    comparisons: Sequence[Comparison],
    why: dict[str, list[Cause]],
    recorded: Measurement | None,
    lists: Mapping[str, str],
) -> str:
    """Return the verdict in one line, with data set and split by part, and what is to be recorded of a test."""
    texts = []
    for comparison in comparisons:
        measured, expected = comparison.measured.metrics[comparison.key], comparison.expected[comparison.key]
        part = comparison.part
        numbers = f"{NAMES[part]} {measured:.4f} ({lists[part]}), {comparison.source} says {expected:.4f}"
        if "loss" in comparison.expected:
            numbers += f" (loss {comparison.measured.metrics['loss']:.6g}, {comparison.expected['loss']:.6g})"
        if comparison.equal:
            texts.append(f"{numbers}: {agreement(comparison)}")
            continue
        likely = " and ".join(cause.name for cause in why[part] if cause.verdict == LIKELY)
        texts.append(f"{numbers}: different; {f'likely: {likely}' if likely else 'no likely cause seen'}")
    if recorded:
        ending = "not recorded" if why else "recorded"
        texts.append(f"{NAMES['test']} {recorded.metrics['top1']:.4f} ({lists['test']}), {ending}")
    return f"{'DIFFERENT' if why else 'equal'}: {'; '.join(texts)}"


def agreement(comparison: Comparison) -> str:
    """Say of a comparison in which nothing differs what was compared, and of how many videos."""
    videos = counted(comparison.measured.data["videos"], "video")
    if not comparison.exact:
        return f"equal within the tolerance ({videos})"
    kind = "expected" if comparison.source == EXPECT else "recorded"
    names = " and ".join(METRICS[name] for name in comparison.expected)
    return f"the {kind} {names} came out {'again ' if kind == 'recorded' else ''}({videos})"


def as_text(report: dict[str, Any]) -> str:
    """Format the report for people."""
    lines = [report["verdict"], *(f"although {note}" for note in report["notes"])]
    for part, rows in report["causes"].items():
        lines += ["", f"| {NAMES[part]}: cause | is it? | evidence |", "|---|---|---|"]
        lines += [f"| {row['name']} | {row['verdict']} | {row['evidence']} |" for row in rows]
    return "\n".join(lines)


def record(system: System, measured: Measurement) -> dict[str, Any]:
    """Write a test's measured result into its checkpoint as "tested", whole or not at all, and return the entry.

    That is metrics, "clips" scored, "data", see `describe_videos`, and "options", what was scored and how. A file of
    bare weights becomes one with a "state_dict". Raises ValueError if the file holds what a checkpoint may not.
    """
    options = {name: getattr(system.test_opt, name) for name in VERIFIED}
    entry = {**measured.metrics, "clips": measured.clips, "data": measured.data, "options": options}
    state = dict(system.state) if "state_dict" in system.state else {"state_dict": dict(system.state)}
    path = Path(system.file)
    if path.suffix == tensor_file.SUFFIX:
        tensor_file.write(path, state | {"tested": entry}, system.file)
        return entry
    try:
        checkpoint.save(path, state | {"tested": entry})
    except TypeError as error:
        raise ValueError(f"{path}: cannot be rewritten ({error}): export it first, see docs/verify.md") from None
    return entry
