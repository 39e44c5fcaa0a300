"""Accuracies over videos."""

import torch
from torch import Tensor


def check_scores(scores: Tensor, what: str) -> None:
    """Refuse scores that are not finite, where the class with the highest score means nothing.

    Raises ValueError, which begins with `what`.
    """
    if not scores.isfinite().all():
        raise ValueError(
            f"{what} has scores that are NaN or infinite: the network's values grow too large; try --amp off, "
            "or another checkpoint"
        )


def top1(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the fraction of rows whose highest logit is the target's, a scalar in [0, 1]."""
    return (logits.argmax(1) == target).float().mean()


def video_metrics(scores: Tensor, target: Tensor) -> dict[str, float]:
    """Compute accuracies over videos from scores (N, K), higher is better, and class indices (N,).

    Returns "top1", "top5" and "mean_class", the mean over the classes that occur of their accuracies; in [0, 1].
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
    """Count videos (K, K) by true class (rows) and predicted class (columns)."""
    classes = scores.shape[1]
    return torch.bincount(target * classes + scores.argmax(1), minlength=classes**2).view(classes, classes)
