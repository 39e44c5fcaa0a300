"""Averages over an epoch and accuracies over videos."""

from collections.abc import Mapping

import torch
from torch import Tensor


class Averages:
    """Sample-weighted means of named scalars, summed on their device: reading them waits for it once."""

    def __init__(self) -> None:
        self.totals: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def update(self, values: Mapping[str, Tensor], n: int) -> None:
        """Add the means `values` over a batch of `n` samples."""
        for name, value in values.items():
            total = value.detach().double() * n
            self.totals[name] = self.totals[name] + total if name in self.totals else total
            self.counts[name] = self.counts.get(name, 0) + n

    def result(self) -> dict[str, float]:
        """The means so far."""
        return {name: total.item() / self.counts[name] for name, total in self.totals.items()}


def top1(logits: Tensor, target: Tensor) -> Tensor:
    """Fraction of rows whose highest logit is the target's, a scalar in [0, 1]."""
    return (logits.argmax(1) == target).float().mean()


def video_metrics(scores: Tensor, target: Tensor) -> dict[str, float]:
    """Accuracies over videos.

    Args:
        scores: Shape (N, K), higher is better.
        target: Class indices, shape (N,).

    Returns:
        "top1", "top5" and "mean_class", the mean over the classes that occur of their accuracies; in [0, 1].
    """
    ranked = scores.topk(min(5, scores.shape[1]), dim=1).indices
    hit = ranked == target[:, None]
    total = torch.bincount(target, minlength=scores.shape[1])
    right = torch.bincount(target[hit[:, 0]], minlength=scores.shape[1])
    present = total > 0
    return {
        "top1": hit[:, 0].double().mean().item(),
        "top5": hit.any(1).double().mean().item(),
        "mean_class": (right[present] / total[present]).double().mean().item(),
    }


def confusion(scores: Tensor, target: Tensor) -> Tensor:
    """Counts (K, K) of videos by true class (rows) and predicted class (columns)."""
    classes = scores.shape[1]
    return torch.bincount(target * classes + scores.argmax(1), minlength=classes**2).view(classes, classes)
