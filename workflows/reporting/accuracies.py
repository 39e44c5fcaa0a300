"""Accuracies of the systems of a report, with confidence intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine import video_metrics
from engine.evaluation.analysis import clip_metrics
from engine.evaluation.statistics import percentile_interval, resampled_means

from .protocol import protocol
from .single_and_fused import System, best_of, distinct

TOP = 5  # of as many classes or fewer, top-5 says nothing

Interval = tuple[float, float]


class Result(NamedTuple):
    """A row of the results."""

    system: System  # whose
    video: dict[str, float]  # "top1", "top5" and "mean_class" over videos, in [0, 1]
    interval: Interval  # 95 % of top-1 over videos
    # Of a fused system: top-1 less that of its best stream, and 95 % of that; None of streams.
    gain: tuple[float, Interval] | None
    clip: dict[str, float]  # the same over clips; {} where unknown
    protocol: dict[str, str]  # how it was tested, for people
    clips: int  # clips of all videos
    videos: int  # scored videos
    listed: int  # videos of the list


def results_of(by_file: Sequence[Sequence[System]]) -> list[Result]:
    """Compute the results of each system of a group; all intervals are of the same bootstrap samples of videos."""
    systems = distinct(by_file)
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
            protocol=protocol(system.file),
            clips=int(system.clips.sum()),
            videos=len(system.label),
            listed=system.file.scores.listed,
        )
        for system in systems
    ]


def interval_of(means: Tensor) -> Interval:
    """Return the central 95 % of bootstrap means, shape (R,)."""
    low, high = percentile_interval(means[:, None])[0].tolist()
    return low, high
