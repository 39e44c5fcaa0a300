"""Shapes of the drawings of a report, as numbers that its template puts into SVG."""

from typing import NamedTuple

import torch
from torch import Tensor

from engine.evaluation.analysis import Reliability

NUMBERED = 60  # classes up to which a confusion matrix is a table of numbers
LEVELS, PALEST = 10, 0.25  # shades of a matrix without numbers, and the opacity above which they lie
SIDE, STRIP = 200.0, 44.0  # of a reliability curve and of the counts below it


class Bar(NamedTuple):
    """A bin of a reliability curve; lengths as of `SIDE` and `STRIP`, y downwards."""

    x: float  # left end
    width: float  # of the bar
    accuracy: float  # height of the bar
    confidence: float  # height at which the bar of a calibrated system ends
    videos: float  # height of the bar of counts


class Shade(NamedTuple):
    """Cells of a confusion matrix with the same shade."""

    kind: str  # "right" or "wrong"
    opacity: float  # in (0, 1]
    path: str  # unit squares, in SVG's language


def bars(curve: Reliability) -> list[Bar]:
    """Return the bins that hold videos."""
    width = SIDE / len(curve.videos)
    most = max(1, int(curve.videos.max()))
    rows = zip(curve.videos.tolist(), curve.confidence.tolist(), curve.accuracy.tolist(), strict=True)
    return [
        Bar(i * width, width, accuracy * SIDE, confidence * SIDE, videos / most * STRIP)
        for i, (videos, confidence, accuracy) in enumerate(rows)
        if videos
    ]


def shades(table: Tensor) -> list[Shade]:
    """Return a confusion matrix, (K, K) by true class and predicted class, as squares: right videos, then wrong ones.

    Shades are square roots of shares of the true class, or single videos of large classes could not be seen.
    """
    share = table / table.sum(1, keepdim=True).clamp_min(1)
    level = (share.sqrt() * LEVELS).ceil().long()
    right = torch.eye(len(table), dtype=torch.bool)
    squares = []
    for kind, where in (("right", right), ("wrong", ~right)):
        for step in range(1, LEVELS + 1):
            if cells := ((level == step) & where).nonzero().tolist():
                opacity = PALEST + (1 - PALEST) * step / LEVELS
                squares.append(Shade(kind, opacity, "".join(f"M{x} {y}h1v1h-1z" for y, x in cells)))
    return squares


def ticks(num_classes: int) -> list[int]:
    """Return class indices beside a matrix without numbers: round ones, six to twelve of them."""
    step = next(step for step in (10, 20, 50, 100, 200, 500, 1000, 10**9) if num_classes / step <= 12)
    return list(range(0, num_classes, step))
