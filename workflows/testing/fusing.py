"""Fusion of score files, without data or networks: fused scores, and every fusion in one table."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets import DATASETS
from datasets.stores.provenance import COMPARED, NOT_STATED, differences, show
from engine import Scores, video_metrics
from engine.evaluation import scores
from models import FUSIONS, combine, fuse
from models.backbones import options_in
from opts import PROTOCOL
from sts_common import counted

log = logging.getLogger(__name__)

PAIR_WEIGHTS = ((1.0, 1.5), (1.0, 2.0), (1.5, 1.0), (2.0, 1.0))  # 1 to 1.5 is that of the two-stream papers
ENTRIES = {"dataset": "dataset", "split": "split", "test_subset": "subset"}  # options -> entries of a score file
ALONE = (  # of a checkpoint that is fused with itself
    "a network fused with itself says what it says alone: name another checkpoint, or weigh this one with "
    "--fusion_weights"
)


def fused_scores(
    scores: Scores, method: str, weights: Sequence[float] | None = None, clip_mean: str = "before"
) -> Tensor:
    """Fuse the scores of all streams, shape (N, K), by a key of `FUSIONS` and `models.stream_weights`.

    `clip_mean` "before" takes the mean over clips before the activation, "after" the activated scores as they are.
    Raises ValueError if the weights do not fit, or if "after" is asked of scores that were not activated so.
    """
    if clip_mean == "before":
        return fuse(scores.logits, method, weights)
    return combine(activated_by(method, scores, "--clip_mean after"), weights)


def activated_by(method: str, scores: Scores, source: str) -> Tensor:
    """Return the scores of every stream (S, N, K) that were activated clip by clip.

    Raises ValueError if there are none, or of another activation; says how to make them.
    """
    if scores.activated is None or scores.about.get("activation") != method:
        raise ValueError(
            f"{source}: clips were not activated by {method} before their mean was taken; score them again with "
            f"--fusion {method} --clip_mean after"
        )
    return scores.activated


def fusion_table(scores: Scores, extra: Sequence[float] | None = None) -> list[dict[str, Any]]:
    """Compute accuracies of every entry of `FUSIONS`, of means over clips, with some weights of the streams.

    Weights as of `weightings`. Returns rows "fusion", "weights" (one per stream), "top1", "top5", "mean_class", in
    [0, 1]. Raises ValueError if the weights do not fit.
    """
    return [
        {"fusion": method, "weights": list(weights)} | video_metrics(fuse(scores.logits, method, weights), scores.label)
        for method in FUSIONS
        for weights in weightings(len(scores.streams), extra)
    ]


def weightings(streams: int, extra: Sequence[float] | None = None) -> list[tuple[float, ...]]:
    """Return the weights to compare, without duplicates: equal, each stream, of two `PAIR_WEIGHTS`, and those given."""
    alone = map(tuple, torch.eye(streams).tolist())
    pairs = PAIR_WEIGHTS if streams == 2 else ()
    return list(dict.fromkeys([(1.0,) * streams, *alone, *pairs, *([tuple(extra)] if extra else [])]))


def table_lines(rows: Sequence[dict[str, Any]], streams: Sequence[str]) -> list[str]:
    """Format `fusion_table` in Markdown."""
    names = [name.replace("|", "\\|").replace("\n", " ") for name in streams]
    lines = [f"| fusion | {' : '.join(names)} | top-1 | top-5 | mean class |", "|---|---|---|---|---|"]
    for row in rows:
        shown = " | ".join(f"{row[name]:.4f}" for name in ("top1", "top5", "mean_class"))
        lines.append(f"| {row['fusion']} | {' : '.join(f'{weight:g}' for weight in row['weights'])} | {shown} |")
    return lines


def read_scores(
    paths: Sequence[str],
    *,
    use: Sequence[str] | None = None,
    activation: str | None = None,
    given: Mapping[str, Any] | None = None,
    sample_duration: int = 16,
) -> tuple[dict[str, Any], Scores]:
    """Read the streams of score files, merged, and the options that the first file in use was made with.

    Files that were made in unlike ways are fused, but it is said, and kept in `about["unlike"]`. `use` are streams, in
    this order, None for all; `activation` a key of `FUSIONS`, by which clips must have been activated one by one;
    `given` the options that the files must have been made with; `sample_duration` that of files that do not state it.
    Raises FileNotFoundError if a file is missing; ValueError if one is damaged, if they are not of the same videos,
    labels and classes, or do not have what `--use`, `--clip_mean` or another given option asks for.
    """
    parts = select_streams(scores.numbered([(path, scores.load(path)) for path in paths]), use)
    settings = [settings_of(streams, path, given or {}, sample_duration) for path, streams in parts]
    for path, streams in parts if activation else ():
        activated_by(str(activation), streams, path)
    joined = scores.join(parts)
    joined = replace(joined.only(use or joined.streams), fused_hits=None)  # which may be fused otherwise here
    before = [text for _, streams in parts for text in streams.about.get("unlike", ())]
    unlike = [*dict.fromkeys([*before, *(text for part in parts[1:] for text in unlike_in(parts[0], part))])]
    if unlike:
        log.warning("the score files were made in unlike ways: %s", "; ".join(unlike))
        joined = replace(joined, about=joined.about | {"unlike": unlike})
    name_counted_twice(joined)
    return settings[0], joined


def check_distinct(paths: Sequence[str], cure: str) -> None:
    """Refuse a checkpoint that is named twice: ValueError, which ends with the `cure`."""
    files = [Path(path).resolve() for path in paths]
    for path, file in zip(paths, files, strict=True):
        if files.count(file) > 1:
            raise ValueError(f"{path}: named twice; {cure}")


def select_streams(parts: Sequence[tuple[str, Scores]], use: Sequence[str] | None) -> Sequence[tuple[str, Scores]]:
    """Return the named streams, all where None, of the files that have any of them.

    Raises ValueError if there is no such stream.
    """
    if use is None:
        return parts
    there = [name for _, scored in parts for name in scored.streams]
    if unknown := [name for name in use if name not in there]:
        raise ValueError(f"--use: no stream {unknown[0]}; there are {', '.join(there)}")
    chosen = [(path, [name for name in scored.streams if name in use], scored) for path, scored in parts]
    return [(path, scored.only(names)) for path, names, scored in chosen if names]


def settings_of(streams: Scores, source: str, given: Mapping[str, Any], sample_duration: int) -> dict[str, Any]:
    """Return the settings that a result's name states, by the scores of a file; `sample_duration` where they do not.

    Raises ValueError if they state what cannot be, or other options were `given`.
    """
    about = streams.about
    settings = {name: about[key] for name, key in ENTRIES.items() if key in about}
    stated = settings | {name: value for name, value in about.get("options", {}).items() if name in PROTOCOL}
    for name, value in stated.items():
        if name in given and given[name] != value:
            raise ValueError(
                f"--{name} {given[name]}: {source} was made with {show(value)}, which cannot be changed now; "
                "leave it out"
            )
    length = stated.get("sample_duration", sample_duration)
    known = {"dataset": DATASETS, "split": (1, 2, 3), "test_subset": ("test", "val")}
    if any(value not in known[name] for name, value in settings.items()) or type(length) is not int:
        raise ValueError(f"{source}: says that it is of {settings} and clips of {length!r} frames, which cannot be")
    arch = next((str(x["arch"]) for x in about.get("checkpoints", {}).values() if "arch" in x), "")
    return settings | options_in(arch) | {"sample_duration": length}


def unlike_in(former: tuple[str, Scores], latter: tuple[str, Scores]) -> Iterator[str]:
    """Describe the settings in which the scores of two files, with their names, differ, where both state them."""
    (source, first), (path, second) = former, latter
    a, b = first.about, second.about
    differing = [
        *differences(a, b, (*ENTRIES.values(), "list_sha256")),
        *differences(a.get("options", {}), b.get("options", {}), PROTOCOL),
        *differences(a.get("provenance", {}), b.get("provenance", {}), COMPARED),
    ]
    for name, x, y in differing:
        if NOT_STATED not in (x, y):
            yield f"{name} {show(x)} in {source}, {show(y)} in {path}"
    clips = [dict(zip(streams.video, streams.clips[0].tolist(), strict=True)) for streams in (first, second)]
    if unlike := [video for video, count in clips[0].items() if count != clips[1].get(video)]:
        x, y = (counts.get(unlike[0]) for counts in clips)
        many = counted(len(unlike), "video")
        yield f"{x} clips of {unlike[0]} in {source}, {y} in {path}, and so for {many}"


def name_counted_twice(scores: Scores) -> None:
    """Warn of streams that are scores of one checkpoint."""
    first: dict[str, str] = {}
    for name in scores.streams:
        digest = scores.about.get("checkpoints", {}).get(name, {}).get("sha256")
        if digest and (before := first.setdefault(str(digest), name)) != name:
            log.warning("%s and %s are of one checkpoint, which counts twice: choose streams with --use", before, name)
