"""The result file of the published test scripts, line by line, and the facts that make two results comparable."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sts_common import counted
from sts_common.files import write_text

from .scores import Scores

RESIZED_SIDE = 256  # pixels that the short side of frames has for crops "two-stream"
NOT_STATED = object()


def result_lines(scores: Tensor, label: Tensor) -> list[str]:
    """Return one line per video and the accuracy, in the published format, of fused scores (N, K)."""
    lines, right = [], 0
    ranked = scores.topk(min(5, scores.shape[1]), dim=1).indices
    for i, (row, target) in enumerate(zip(ranked.tolist(), label.tolist(), strict=True)):
        right += row[0] == target
        lines.append(
            f"Video[{i}] : \t top5 {np.array(row)}\t top1 = {row[0]}\t true = {target}\t video = {right / (i + 1)}"
        )
    return [*lines, f"Video accuracy = {right / len(lines)}"]


def write_result(path: Path, header: str, lines: Sequence[str]) -> None:
    """Write the options as text and the lines, with LF ends."""
    text = "\n".join([header, *lines]) + "\n"
    write_text(path, text)


def accuracies(scores: Scores, metrics: Mapping[str, float]) -> str:
    """Format accuracies of clips, by stream and fused, and of fused videos, with all that they depend on, in a line."""
    clips = [f"{name} {top1:.4f}" for name, top1 in zip(scores.streams, scores.clip_accuracy, strict=False)]
    if scores.fused_hits is not None:
        clips.append(f"fused {(scores.fused_hits[0].sum() / scores.clips[0].sum()).item():.4f}")
    named = (("top1", "top-1"), ("top5", "top-5"), ("mean_class", "mean class"))
    videos = [f"{shown} {metrics[name]:.4f}" for name, shown in named]
    return f"clip top-1 {', '.join(clips) or 'not stated'}; video {', '.join(videos)}; {protocol(scores)}"


def protocol(scores: Scores) -> str:
    """Format the test protocol on one line: two results can be compared where these lines are alike."""
    about = scores.about
    data = [f"{about[name]}" for name in ("dataset", "subset") if name in about]
    data += [f"split {about['split']}"] if "split" in about else []
    clips = " and ".join(f"{count:,}" for count in sorted(set(scores.clips.sum(1).tolist())))
    parts = [
        " ".join(data) or "data not stated",
        f"{len(scores.video):,} of {counted(scores.listed, 'listed video')}",
        f"{clips} clips ({'; '.join([views(about.get('options', {})), *sizes_read(about)])})",
        images(about),
    ]
    unlike = about.get("unlike")
    parts += [f"{name} TRAINED ON SPLIT {split}" for name, split in other_splits(about).items()]
    return ", ".join([*parts, *([f"UNLIKE: {'; '.join(unlike)}"] if unlike else [])])


def other_splits(about: Mapping[str, Any]) -> dict[str, int]:
    """Return, by stream, the split that a network was trained on where it is not the one that is tested."""
    checkpoints = about.get("checkpoints", {})
    return {name: stated["trained_split"] for name, stated in checkpoints.items() if "trained_split" in stated}


def views(options: Mapping[str, Any]) -> str:
    """Format the views of a video that were scored, as "10 spaced x 3 crops of 16 frames at 112 px"."""
    if not {"test_sampling", "num_clips", "num_crops", "sample_duration", "sample_size"} <= options.keys():
        return "views not stated"
    sampling, crops = options["test_sampling"], options["num_crops"]
    clips = "all windows" if sampling == "all" else f"{options['num_clips']} {sampling}"
    stride, snippet = options.get("clip_stride", 1), options.get("segment_length", 1)
    step = "" if stride == 1 else f", stride {stride},"
    step += "" if snippet == 1 else f" in segments of {snippet}"
    return (
        f"{clips} x {crops} {'crop' if crops == '1' else 'crops'} of {options['sample_duration']} frames{step} at "
        f"{options['sample_size']} px{rules(options)}"
    )


def rules(options: Mapping[str, Any]) -> str:
    """Format the rules of sampling that are not the usual ones; "" where all are."""
    dropped = options["test_sampling"] == "all" and options.get("tail") == "drop"
    slips = options.get("sampling") == "compat"
    return (", last frames dropped" if dropped else "") + (", with published slips" if slips else "")


def sizes_read(about: Mapping[str, Any]) -> list[str]:
    """Format which networks saw the clips at another size than the options say, as "flow at 48 px"."""
    reads = {name: str(known.get("reads", "")) for name, known in about.get("checkpoints", {}).items()}
    return [f"{name} at {view.partition('@')[2]} px" for name, view in reads.items() if "@" in view]


def images(about: Mapping[str, Any]) -> str:
    """Format frame rate and short side of the images, stored and as the network sees them."""
    provenance, options = about.get("provenance", {}), about.get("options", {})
    rate, side = (provenance.get(name, NOT_STATED) for name in ("fps", "short_side"))
    default = RESIZED_SIDE if options.get("num_crops") == "two-stream" else options.get("sample_size", "not stated")
    return (
        f"{format_recorded(rate, '{} fps', 'fps')}, {format_recorded(side, 'short side {}', 'short side')}, "
        f"seen at {options.get('short_side') or default}"
    )


def format_recorded(value: Any, form: str, name: str) -> str:
    """Format a value of the records of an extraction: None stands for the videos' own."""
    if value is NOT_STATED:
        return f"{name} not stated"
    if value is None:
        return f"native {name}"
    return form.format(f"{value:g}" if isinstance(value, float) else value)
