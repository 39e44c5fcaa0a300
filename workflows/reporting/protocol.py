"""Test protocols of the score files of a report: settings that accuracies must share to be compared."""

from typing import Any

from engine.evaluation.result_file import rules

from .score_files import NOT_STATED, Group, ScoreFile

ALL_WINDOWS = "all"  # the test sampling that takes as many clips as a video has


def protocol(file: ScoreFile) -> dict[str, str]:
    """Return the settings that make accuracies comparable, for people."""
    options, provenance = (file.scores.about.get(name, {}) for name in ("options", "provenance"))
    stride, resized = options.get("clip_stride", 1), options.get("short_side")
    snippet = options.get("segment_length", 1)
    steps = (f", stride {stride}" if stride != 1 else "") + (f", segments of {snippet}" if snippet != 1 else "")
    return {
        "views": views(options),
        "frames": stated(options, "sample_duration") + steps,
        "crop": stated(options, "sample_size"),
        "fps": stated(provenance, "fps"),
        "short side": stated(provenance, "short_side") + (f", resized to {resized}" if resized else ""),
    }


def stated(part: dict[str, Any], name: str) -> str:
    """Format a value of a record; None stands for the videos' own rate or size."""
    value = part.get(name, NOT_STATED)
    if value is None:
        return "source"
    return f"{value:g}" if isinstance(value, float) else str(value)


def views(options: dict[str, Any]) -> str:
    """Format the numbers of clips and crops of a video."""
    sampling, crops = options.get("test_sampling"), options.get("num_crops")
    if sampling is None or crops is None:
        return NOT_STATED
    kind = "all windows" if sampling == ALL_WINDOWS else f"{stated(options, 'num_clips')} {sampling}"
    return f"{kind} x {crops}{rules(options)}"


def unlike(group: Group) -> list[str]:
    """Describe in lines the settings in which the files of a group were not tested alike."""
    protocols = {file.label: protocol(file) for file in group.files}
    lines = []
    for name in next(iter(protocols.values())):
        by_value: dict[str, list[str]] = {}
        for label, settings in protocols.items():
            by_value.setdefault(settings[name], []).append(label)
        if len(by_value) > 1:
            parts = [f"{value} ({', '.join(labels)})" for value, labels in by_value.items()]
            lines.append(f"{name}: {'; '.join(parts)}")
    return lines
