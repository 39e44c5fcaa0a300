"""Score files of a report: search, reading, names, test protocols, and groups whose accuracies can be compared."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import Scores
from engine.evaluation.result_file import rules
from engine.evaluation.scores import MALFORMED, load

NOT_STATED = "not stated"

log = logging.getLogger(__name__)


@dataclass
class ScoreFile:
    """A score file."""

    path: Path
    label: str  # the shortest name that no other file of the report has
    scores: Scores  # of every stream
    fused: Tensor  # what its test reported, (N, K)

    @property
    def fusion(self) -> str:
        """Fusion of the streams, for people; "" for a single stream."""
        about, streams = self.scores.about, self.scores.streams
        if len(streams) == 1:
            return ""
        weights = about.get("fusion_weights")
        shares = f", weights {' : '.join(map(str, weights))}" if isinstance(weights, list) else ""
        order = ", activated before the mean over clips" if about.get("clip_mean") == "after" else ""
        return f"{about.get('fusion') or f'fusion {NOT_STATED}'}{shares}{order}"

    @cached_property
    def protocol(self) -> dict[str, str]:
        """Settings of the test that accuracies must share to be compared, for people."""
        options, provenance = (self.scores.about.get(name, {}) for name in ("options", "provenance"))
        stride, resized = options.get("clip_stride", 1), options.get("short_side")
        snippet = options.get("segment_length", 1)
        steps = (f", stride {stride}" if stride != 1 else "") + (f", segments of {snippet}" if snippet != 1 else "")
        return {
            "views": views(options),
            "frames": setting(options, "sample_duration") + steps,
            "crop": setting(options, "sample_size"),
            "fps": setting(provenance, "fps"),
            "short side": setting(provenance, "short_side") + (f", resized to {resized}" if resized else ""),
        }

    def stated(self, name: str) -> str:
        """Format a value of `about`, for people."""
        value = self.scores.about.get(name)
        return NOT_STATED if value in (None, "") else str(value)


@dataclass
class Group:
    """Score files of the same videos, labels and classes of one data set, split and subset, in the same order."""

    number: int  # from 1, for files and links
    files: list[ScoreFile]  # at least one

    @property
    def scores(self) -> Scores:
        """Scores of the first file, whose videos, labels and classes are everyone's."""
        return self.files[0].scores

    @property
    def title(self) -> str:
        """Data set, split and subset."""
        first = self.files[0]
        named = [first.stated(name) for name in ("dataset", "split", "subset")]
        if set(named) == {NOT_STATED}:
            return f"Data set {NOT_STATED}"
        return f"{named[0]}, split {named[1]}, {named[2]}"

    @property
    def unlike(self) -> list[str]:
        """Lines on the settings in which the files were not tested alike."""
        lines = []
        for name in self.files[0].protocol:
            labels: dict[str, list[str]] = {}
            for file in self.files:
                labels.setdefault(file.protocol[name], []).append(file.label)
            if len(labels) > 1:
                parts = [f"{value} ({', '.join(names)})" for value, names in labels.items()]
                lines.append(f"{name}: {'; '.join(parts)}")
        return lines


def setting(part: dict[str, Any], name: str) -> str:
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
    kind = "all windows" if sampling == "all" else f"{setting(options, 'num_clips')} {sampling}"
    return f"{kind} x {crops}{rules(options)}"


def find_files(roots: Iterable[Path]) -> list[Path]:
    """Return files as named, and every .npz below a folder, each once; raises FileNotFoundError if there is none."""
    files: dict[Path, Path] = {}
    for root in roots:
        if not root.exists():
            raise FileNotFoundError(f"{root}: no such file or folder")
        inside = sorted(root.rglob("*.npz")) if root.is_dir() else [root]
        if not inside:
            raise FileNotFoundError(f"{root}: no .npz file in or below it; the test scripts write score files")
        for path in inside:
            files.setdefault(path.resolve(), path)
    return list(files.values())


def read_files(roots: Sequence[Path]) -> list[ScoreFile]:
    """Read all score files; other files are refused where named, and skipped with a warning in a folder.

    Raises FileNotFoundError if there is none, ValueError if one that was named is damaged or no score file.
    """
    read = []
    for path in find_files(roots):
        try:
            scores = load(path)
            read.append((path, scores, load_fused(path, scores)))
        except ValueError as error:
            if path in roots:
                raise
            log.warning("left out: %s", error)
    if not read:
        raise FileNotFoundError(f"{roots[0]}: no score file in or below it; the test scripts write them")
    labels = shortest_names([path for path, _, _ in read])
    return [ScoreFile(path, label, scores, fused) for (path, scores, fused), label in zip(read, labels, strict=True)]


def load_fused(path: Path, scores: Scores) -> Tensor:
    """Load the fused scores (N, K) of a file that is a score file otherwise; raises ValueError if it has none."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            fused = file["fused"]
    except MALFORMED:
        raise ValueError(f"{path}: holds no fused scores that can be read: run the test again") from None
    if fused.shape != scores.logits.shape[1:] or fused.dtype.kind != "f" or not np.isfinite(fused).all():
        raise ValueError(f"{path}: its fused scores do not fit its streams: run the test again")
    return torch.from_numpy(fused)


def shortest_names(paths: Sequence[Path]) -> list[str]:
    """Return for each path its name, after as many folders as tell it from every other one."""
    whole = [path.resolve().parts for path in paths]
    names = []
    for parts in whole:
        others = [other for other in whole if other is not parts]
        size = next(n for n in range(1, len(parts) + 1) if all(other[-n:] != parts[-n:] for other in others))
        names.append("/".join(parts[-size:]))
    return names


def group_files(files: Iterable[ScoreFile]) -> list[Group]:
    """Group files by their test data; those of a group have their videos in the order of its first file."""
    groups: dict[Any, list[ScoreFile]] = {}
    for file in files:
        scores = file.scores
        tested = tuple(file.stated(name) for name in ("dataset", "split", "subset"))
        videos = frozenset(zip(scores.video, scores.label.tolist(), strict=True))
        members = groups.setdefault((tested, tuple(scores.class_names), videos), [])
        if members:
            position = {video: i for i, video in enumerate(scores.video)}
            order = [position[video] for video in members[0].scores.video]
            file = ScoreFile(file.path, file.label, scores.rows(videos=order), file.fused[order])
        members.append(file)
    return [Group(number, members) for number, members in enumerate(groups.values(), 1)]
