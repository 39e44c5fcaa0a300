"""Analysis of scores beside the accuracy: by class, by clip, by pair of classes, by stream, by confidence."""

import itertools
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

BINS = 15  # of confidence, as in Guo et al., ICML 2017
FEW_STREAMS = 3  # up to which every combination of right and wrong streams is listed, also those that never occur


class ClassHits(NamedTuple):
    """Videos of each class, and those of them that are right; both (K,) int64."""

    right: Tensor
    videos: Tensor


class Pair(NamedTuple):
    """A class that is taken for another one."""

    true: int  # its index
    predicted: int  # index of the other
    videos: int  # how many of its videos
    share: float  # of its videos, in (0, 1]
    back: int  # videos of the other that are taken for it


class Outcome(NamedTuple):
    """Videos for which the same streams are right."""

    right: tuple[bool, ...]  # whether each stream is
    videos: int
    fused: int  # for how many of them the fused scores are right


class Winners(NamedTuple):
    """Winners of the fused scores where streams disagree."""

    videos: int  # for which not all streams predict the same class
    followed: list[int]  # of these, where the fused prediction is each stream's; streams that agree all count
    neither: int  # of these, where it is no stream's


class ClassOutcomes(NamedTuple):
    """By class: videos that all streams have right, each stream alone (S, K), no stream; the others are (K,) int64."""

    every: Tensor
    alone: Tensor
    none: Tensor


class Reliability(NamedTuple):
    """Bins of equal width of the highest probability; the first one begins at 0."""

    videos: Tensor  # in each bin, (B,) int64
    confidence: Tensor  # their mean highest probability, (B,) float64; 0 in empty bins
    accuracy: Tensor  # fraction of them that is right, likewise

    @property
    def error(self) -> float:
        """Return the ECE, in [0, 1]: mean over videos of |accuracy - confidence| of their bins."""
        gaps = (self.accuracy - self.confidence).abs()
        return ((gaps * self.videos).sum() / self.videos.sum()).item()


def probabilities(scores: Tensor) -> Tensor:
    """Return scores (N, K) as probabilities, float64: their softmax, unless they are probabilities already.

    Means of probabilities, as softmax fusion gives them, are; a second softmax would level them.
    """
    scores = scores.double()
    if (scores >= 0).all() and ((scores.sum(1) - 1).abs() < 1e-4).all():
        return scores
    return scores.softmax(1)


def class_hits(predicted: Tensor, label: Tensor, num_classes: int) -> ClassHits:
    """Count right videos by class, from predicted and true class indices, both (N,)."""
    right = torch.bincount(label[predicted == label], minlength=num_classes)
    return ClassHits(right, torch.bincount(label, minlength=num_classes))


def clip_metrics(top1: Tensor, top5: Tensor, clips: Tensor, label: Tensor) -> dict[str, float]:
    """Compute accuracies over clips, each of which counts once, whichever video it is of.

    All are by video, (N,): its clips, those of them with the label highest and among the five highest, and its label.
    Returns "top1", "top5" and "mean_class", the mean over the classes that occur of their accuracies; in [0, 1].
    """
    right, total = (torch.bincount(label, part.double()) for part in (top1, clips))
    present = total > 0
    return {
        "top1": (top1.sum() / clips.sum()).item(),
        "top5": (top5.sum() / clips.sum()).item(),
        "mean_class": (right[present] / total[present]).mean().item(),
    }


def confused_pairs(table: Tensor) -> list[Pair]:
    """List every pair of classes that `metrics.confusion` shows confused, (K, K), most videos first."""
    wrong = table.clone().fill_diagonal_(0)
    videos = table.sum(1).tolist()
    pairs = [
        Pair(true, predicted, count, count / videos[true], back)
        for (true, predicted), count, back in zip(
            wrong.nonzero().tolist(), wrong[wrong > 0].tolist(), wrong.T[wrong > 0].tolist(), strict=True
        )
    ]
    return sorted(pairs, key=lambda pair: (-pair.videos, -pair.share, pair.true, pair.predicted))


def outcomes(right: Tensor, fused: Tensor) -> list[Outcome]:
    """Count videos by the streams that are right, all first, none last: `right` is (S, N) bool, `fused` (N,)."""
    patterns: Iterable[tuple[bool, ...]] = itertools.product((True, False), repeat=len(right))
    if len(right) > FEW_STREAMS:
        patterns = {tuple(row) for row in right.T.tolist()}
    groups = []
    for pattern in sorted(patterns, key=lambda row: (-sum(row), [not hit for hit in row])):
        mask = (right == torch.tensor(pattern)[:, None]).all(0)
        groups.append(Outcome(pattern, int(mask.sum()), int(fused[mask].sum())))
    return groups


def winners(predicted: Tensor, fused: Tensor) -> Winners:
    """Count the streams whose class, (S, N), is that of the fused scores, (N,), where streams disagree."""
    split = (predicted != predicted[0]).any(0)
    follows = (predicted == fused)[:, split]
    return Winners(int(split.sum()), follows.sum(1).tolist(), int((~follows.any(0)).sum()))


def class_outcomes(right: Tensor, label: Tensor, num_classes: int) -> ClassOutcomes:
    """Count, by class, the videos by the streams that are right, (S, N) bool."""

    def by_class(mask: Tensor) -> Tensor:
        return torch.bincount(label[mask], minlength=num_classes)

    single = right.sum(0) == 1
    return ClassOutcomes(
        by_class(right.all(0)), torch.stack([by_class(row & single) for row in right]), by_class(~right.any(0))
    )


def reliability(probability: Tensor, label: Tensor, bins: int = BINS) -> Reliability:
    """Compute how often predictions of some confidence are right (Guo et al., ICML 2017, eqs. 2, 3 and 5).

    Probabilities are (N, K), labels (N,). Bins are of equal width; bin m holds confidences in ((m - 1) / bins, m /
    bins].
    """
    confidence, predicted = probability.double().max(1)
    place = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    count = torch.bincount(place, minlength=bins)
    filled = count.clamp_min(1)
    mean = torch.bincount(place, confidence, minlength=bins) / filled
    right = torch.bincount(place, (predicted == label).double(), minlength=bins) / filled
    return Reliability(count, mean, right)


def worst_errors(probability: Tensor, label: Tensor, most: int) -> list[int]:
    """Return positions of the wrong videos with the highest confidence, that one first; at most so many."""
    confidence, predicted = probability.max(1)
    wrong = (predicted != label).nonzero()[:, 0]
    return wrong[confidence[wrong].argsort(descending=True, stable=True)][:most].tolist()
