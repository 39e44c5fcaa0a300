"""Report of a verification: one verdict, and a table of causes."""

from collections.abc import Mapping, Sequence
from typing import Any

from .causes import LIKELY, Cause
from .measure import Comparison, Measurement

NAMES = {"val": "validation clips", "test": "test videos"}


def verdict(
    comparisons: Sequence[Comparison],
    why: dict[str, list[Cause]],
    recorded: Measurement | None,
    lists: Mapping[str, str],
) -> str:
    """Return the verdict in one line.

    Args:
        comparisons: What was compared.
        why: Causes of the differences, by part.
        recorded: What a test measured that is to be recorded.
        lists: Data set and split by part.
    """
    texts = []
    for comparison in comparisons:
        measured, expected = comparison.measured.metrics[comparison.key], comparison.expected[comparison.key]
        part = comparison.part
        numbers = f"{NAMES[part]} {measured:.4f} ({lists[part]}), {comparison.source} says {expected:.4f}"
        if "loss" in comparison.expected:
            numbers += f" (loss {comparison.measured.metrics['loss']:.6g}, {comparison.expected['loss']:.6g})"
        if comparison.equal:
            texts.append(f"{numbers}: equal{' to the last bit' if comparison.exact else ''}")
            continue
        texts.append(f"{numbers}: different; {surest(why[part])}")
    if recorded:
        said = "not recorded" if why else "recorded"
        texts.append(f"{NAMES['test']} {recorded.metrics['top1']:.4f} ({lists['test']}), {said}")
    return f"{'DIFFERENT' if why else 'equal'}: {'; '.join(texts)}"


def surest(rows: Sequence[Cause]) -> str:
    """Name the likely causes in words."""
    names = [cause.name for cause in rows if cause.verdict == LIKELY]
    return f"likely: {' and '.join(names)}" if names else "no likely cause seen"


def as_plain(one: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values."""
    return {
        "part": one.part,
        "source": one.source,
        "equal": one.equal,
        "exact": one.exact,
        "expected": dict(one.expected),
        "measured": one.measured.metrics,
        "data": one.measured.data,
    }


def as_text(report: dict[str, Any]) -> str:
    """Format the report for people."""
    lines = [report["verdict"], *(f"although {note}" for note in report["notes"])]
    for part, rows in report["causes"].items():
        lines += ["", f"| {NAMES[part]}: cause | is it? | evidence |", "|---|---|---|"]
        lines += [f"| {row['name']} | {row['verdict']} | {row['evidence']} |" for row in rows]
    return "\n".join(lines)
