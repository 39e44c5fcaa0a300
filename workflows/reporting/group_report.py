"""Content of a report on a group of score files, without its presentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from engine import video_metrics
from engine.evaluation.analysis import clip_metrics
from engine.evaluation.result_file import other_splits
from engine.evaluation.statistics import percentile_interval, resampled_means

from .details import Details, details_of
from .score_files import NOT_STATED, Group
from .single_and_fused import System, best_of, distinct, fusion_gain, systems_of
from .teaching import Agreement, agreements_of

TOP = 5  # of as many classes or fewer, top-5 says nothing

Interval = tuple[float, float]


class Result(NamedTuple):
    """A row of the results."""

    system: System
    video: dict[str, float]  # "top1", "top5" and "mean_class" over videos, in [0, 1]
    interval: Interval  # 95 % of top-1 over videos
    # Of a fused system: top-1 less that of its best stream, and 95 % of that; None of streams.
    gain: tuple[float, Interval] | None
    clip: dict[str, float]  # the same over clips; {} where unknown


@dataclass
class ClassRow:
    """A class: accuracy of each system, in [0, 1], and gain of each fused one; NaN without videos."""

    label: int
    name: str
    videos: int
    accuracy: list[float]
    gain: list[float]


@dataclass
class GroupReport:
    """Results and details of a group."""

    group: Group
    systems: list[System]  # each once
    results: list[Result]  # one for each of them
    fused: list[System]  # systems for which there is a gain of fusion
    classes: list[ClassRow]  # every class, that which the first file's last system finds hardest first
    notices: list[str]  # what a reader must know before comparing
    details: list[Details]  # one for each file
    agreements: list[Agreement]  # of other systems with the teacher, where one is named


def report_group(group: Group, frame_dir: str, worst: int, teacher: Path | None = None) -> GroupReport:
    """Compute the report of a group, with the `worst` errors of each file; arguments as of `write_report`."""
    by_file = systems_of(group)
    systems = distinct(by_file)
    gains = {id(of_file[-1]): (of_file[-1], gain) for of_file in by_file if (gain := fusion_gain(of_file)) is not None}
    details = [
        details_of(number, file, of_file, frame_dir, worst)
        for number, (file, of_file) in enumerate(zip(group.files, by_file, strict=True), 1)
    ]
    return GroupReport(
        group,
        systems,
        results_of(systems, by_file),
        [system for system, _ in gains.values()],
        class_rows(group, systems, [gain for _, gain in gains.values()], by_file[0][-1]),
        notices(group),
        details,
        agreements_of(group, by_file, teacher),
    )


def results_of(systems: Sequence[System], by_file: Sequence[Sequence[System]]) -> list[Result]:
    """Compute the results of each system of a group; all intervals are of the same bootstrap samples of videos."""
    means = resampled_means(torch.stack([system.right for system in systems]))
    column = {id(system): means[:, i] for i, system in enumerate(systems)}
    gains = {}
    for *streams, last in by_file:
        if streams:
            best = best_of(streams)
            difference = (last.right.sum() - best.right.sum()).item() / len(last.label)
            gains[id(last)] = difference, interval_of(column[id(last)] - column[id(best)])
    return [
        Result(
            system,
            video=video_metrics(system.scores, system.label),
            interval=interval_of(column[id(system)]),
            gain=gains.get(id(system)),
            clip=clip_metrics(*system.hits, system.clips, system.label) if system.hits else {},
        )
        for system in systems
    ]


def interval_of(means: Tensor) -> Interval:
    """Return the central 95 % of bootstrap means, shape (R,)."""
    low, high = percentile_interval(means[:, None])[0].tolist()
    return low, high


def class_rows(group: Group, systems: Sequence[System], gains: Sequence[Tensor], hardest: System) -> list[ClassRow]:
    """Return the accuracies of every class, the worst of system `hardest` first, classes without videos last."""
    videos = hardest.by_class.videos
    accuracy = torch.stack([system.by_class.right / videos.double() for system in systems], 1)
    gain = torch.stack(list(gains), 1) if gains else torch.zeros(len(videos), 0)
    rows = [
        ClassRow(label, name, int(videos[label]), accuracy[label].tolist(), gain[label].tolist())
        for label, name in enumerate(group.scores.class_names)
    ]
    order = (hardest.by_class.right / videos.double()).nan_to_num(2.0).tolist()
    return sorted(rows, key=lambda row: (order[row.label], row.label))


def notices(group: Group) -> list[str]:
    """Return the warnings that a reader needs before comparing."""
    lines = [f"Tested unlike, so not comparable as they stand: {line}" for line in group.unlike]
    for number, file in enumerate(group.files, 1):
        used, listed = len(file.scores.video), file.scores.listed
        which = f"File {number}" if len(group.files) > 1 else "This result"
        if used < listed:
            lines.append(f"{which} leaves out videos: {used:,} of {listed:,} listed ones were scored")
        lines += [
            f"{which}: {name} was trained on split {split}, whose training list may hold tested videos"
            for name, split in other_splits(file.scores.about).items()
        ]
        if put_together := file.scores.about.get("unlike"):
            lines.append(f"{which} fuses scores of unlike tests: {'; '.join(put_together)}")
    if group.files[0].stated("subset") == "val":
        lines.append("Held-out training videos: not a result on the test list")
    if any(file.stated("dataset") == NOT_STATED for file in group.files):
        lines.append("The score files do not state what was tested; newer tests write it into them")
    return lines
