"""Test protocols of the score files of a report: settings that accuracies must share to be compared."""

from typing import Any

from .score_files import NOT_STATED, Group, ScoreFile

ALL_WINDOWS = "all"  # the test sampling that takes as many clips as a video has


def protocol(file: ScoreFile) -> dict[str, str]:
    """Return the settings that make accuracies comparable, for people."""
    options, made = (file.scores.about.get(name, {}) for name in ("options", "provenance"))
    stride, resized = options.get("clip_stride", 1), options.get("short_side")
    snippet = options.get("segment_length", 1)
    steps = (f", stride {stride}" if stride != 1 else "") + (f", segments of {snippet}" if snippet != 1 else "")
    return {
        "views": views(options),
        "frames": told(options, "sample_duration") + steps,
        "crop": told(options, "sample_size"),
        "fps": told(made, "fps"),
        "short side": told(made, "short_side") + (f", resized to {resized}" if resized else ""),
    }


def told(part: dict[str, Any], name: str) -> str:
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
    kind = "all windows" if sampling == ALL_WINDOWS else f"{told(options, 'num_clips')} {sampling}"
    dropped = ", last frames dropped" if sampling == ALL_WINDOWS and options.get("tail") == "drop" else ""
    slips = ", with published slips" if options.get("sampling") == "compat" else ""
    return f"{kind} x {crops}{dropped}{slips}"


def unlike(group: Group) -> list[str]:
    """Describe in lines the settings in which the files of a group were not tested alike."""
    told = {file.label: protocol(file) for file in group.files}
    lines = []
    for name in next(iter(told.values())):
        by_value: dict[str, list[str]] = {}
        for label, own in told.items():
            by_value.setdefault(own[name], []).append(label)
        if len(by_value) > 1:
            parts = [f"{value} ({', '.join(labels)})" for value, labels in by_value.items()]
            lines.append(f"{name}: {'; '.join(parts)}")
    return lines
