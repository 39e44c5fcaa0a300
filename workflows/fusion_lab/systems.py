"""Systems of one or several streams on one list of videos: accuracies with intervals, agreement, and comparisons."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from engine import Scores, video_metrics
from engine.evaluation.statistics import compare, percentile_interval, resampled_means
from models import FUSIONS, fuse

from ..testing.fusing import fusion_table

Row = dict[str, Any]


@dataclass(frozen=True)
class Bootstrap:
    """Settings of the bootstrap, the same for all systems of a report."""

    resamples: int = 10_000  # number of resamples of the videos, >= 1
    seed: int = 1  # of the draws
    level: float = 0.95  # coverage of the intervals

    def __post_init__(self) -> None:
        if self.resamples < 1:
            raise ValueError(f"--resamples {self.resamples}: at least 1")

    def add_intervals(self, rows: Sequence[Row], hits: Sequence[Tensor], reference: Tensor) -> list[Row]:
        """Return the rows with "top1", "difference" to the reference, and intervals of both, paired by video.

        `hits` are the videos on which each system is right, (N,) bool, `reference` those of the one they are compared
        with.
        """
        right = torch.stack([reference, *hits])
        means = resampled_means(right, self.resamples, self.seed)
        accuracy = right.double().mean(1)
        ends = percentile_interval(means, self.level)
        apart = percentile_interval(means - means[:, :1], self.level)
        return [
            row
            | {"top1": accuracy[i].item(), "top1_interval": ends[i].tolist()}
            | {"difference": (accuracy[i] - accuracy[0]).item(), "difference_interval": apart[i].tolist()}
            for i, row in enumerate(rows, 1)
        ]


def right_on(fused: Tensor, label: Tensor) -> Tensor:
    """Mark the videos on which scores (N, K) are right, (N,) bool; ties are broken as `video_metrics` breaks them."""
    return fused.topk(min(5, fused.shape[1]), dim=1).indices[:, 0] == label


def top1(fused: Tensor, label: Tensor) -> float:
    """Compute the accuracy of scores (N, K), in [0, 1]."""
    return right_on(fused, label).double().mean().item()


def measure(systems: Iterable[tuple[Row, Tensor]], label: Tensor, reference: Tensor, bootstrap: Bootstrap) -> list[Row]:
    """Compute accuracies, with intervals, of systems: what a row begins with, and scores (N, K), as the reference's."""
    rows, hits = [], []
    for row, fused in systems:  # one at a time: all the scores of a large data set need not fit in memory
        rows.append(row | video_metrics(fused, label))
        hits.append(right_on(fused, label))
    return bootstrap.add_intervals(rows, hits, right_on(reference, label))


def streams_alone(scores: Scores, bootstrap: Bootstrap) -> list[Row]:
    """Measure each stream, ActivNo of all, and the oracle, right where any stream is; compared with ActivNo."""
    fused = fuse(scores.logits)
    singles = [({"system": name}, logits) for name, logits in zip(scores.streams, scores.logits, strict=True)]
    rows = measure([*singles, ({"system": "activno"}, fused)], scores.label, fused, bootstrap)
    any_right = torch.stack([right_on(logits, scores.label) for logits in scores.logits]).any(0)
    return rows + bootstrap.add_intervals([{"system": "oracle"}], [any_right], right_on(fused, scores.label))


def fusions(scores: Scores, extra: Sequence[float] | None, bootstrap: Bootstrap) -> list[Row]:
    """Measure every fusion under every weighting, compared with ActivNo of equal weights."""
    systems = (
        ({"fusion": row["fusion"], "weights": row["weights"]}, fuse(scores.logits, row["fusion"], row["weights"]))
        for row in fusion_table(scores, extra)
    )
    return measure(systems, scores.label, fuse(scores.logits), bootstrap)


def agreement(scores: Scores) -> Iterator[Row]:
    """Count for each two streams the videos by whether they predict the same class and which is right."""
    predicted = scores.logits.argmax(2)
    for i, j in itertools.combinations(range(len(scores.streams)), 2):
        same_class = predicted[i] == predicted[j]
        first, second = predicted[i] == scores.label, predicted[j] == scores.label
        counts = {
            "both_right": first & second,
            "only_first": first & ~second,
            "only_second": ~first & second,
            "same_error": same_class & ~first,
            "other_errors": ~same_class & ~first & ~second,
        }
        names = {"first": scores.streams[i], "second": scores.streams[j]}
        yield names | {name: int(where.sum()) for name, where in counts.items()}


def scores_of(system: str, scores: Scores) -> Tensor:
    """Return scores (N, K) of a system such as "rgb+sfs", fused by ActivNo, or "rgb+sfs@softmax"; raises ValueError."""
    streams, _, method = system.partition("@")
    method = method or "activno"
    if method not in FUSIONS:
        raise ValueError(f"--compare {system}: after @ comes one of {', '.join(FUSIONS)}")
    names = streams.split("+")
    if len(set(names)) < len(names):
        raise ValueError(f"--compare {system}: a stream is named twice")
    unknown = [name for name in names if name not in scores.streams]
    if unknown:
        raise ValueError(f"--compare {system}: no stream {unknown[0]!r}; there are {', '.join(scores.streams)}")
    return fuse(scores.only(names).logits, method)


def comparison(pair: Sequence[str], scores: Scores, bootstrap: Bootstrap) -> Row:
    """Compare two systems: McNemar's test, accuracies, and their difference, first minus second."""
    first, second = (right_on(scores_of(system, scores), scores.label) for system in pair)
    (row,) = bootstrap.add_intervals([{"first_system": pair[0], "second_system": pair[1]}], [first], second)
    return row | {"second_top1": second.double().mean().item()} | dataclasses.asdict(compare(first, second))
