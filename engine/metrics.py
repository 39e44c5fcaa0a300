"""Averages over an epoch and accuracies over videos."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .distributed import gather, is_main, sum_over_ranks, world


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

    def state(self) -> dict[str, list[float]]:
        """Sum and count by name over all processes, which must all ask; plain values for a checkpoint."""
        if world() == 1 and not self.totals:
            return {}
        names = sorted({name for names in gather(sorted(self.totals)) for name in names})
        device = next(iter(self.totals.values())).device if self.totals else torch.device("cpu")
        pairs = [[self.totals[n].item(), self.counts[n]] if n in self.totals else [0.0, 0] for n in names]
        sums = sum_over_ranks(torch.tensor(pairs, dtype=torch.float64, device=device))
        return {name: [total, int(count)] for name, (total, count) in zip(names, sums.tolist(), strict=True)}

    def load(self, state: Mapping[str, Sequence[float]], device: torch.device) -> None:
        """Go on from a state; in one process alone, for it is a sum over all."""
        if is_main():
            self.totals = {
                name: torch.tensor(total, dtype=torch.float64, device=device) for name, (total, _) in state.items()
            }
            self.counts = {name: int(count) for name, (_, count) in state.items()}

    def result(self) -> dict[str, float]:
        """The means so far, over all processes, which must all ask."""
        return {name: total / count for name, (total, count) in self.state().items()}


def check_scores(scores: Tensor, what: str) -> None:
    """Refuse scores that are no numbers, of which the class with the highest one means nothing.

    Raises:
        ValueError: Begins with `what`.
    """
    if not scores.isfinite().all():
        raise ValueError(
            f"{what} has scores that are infinite or no numbers: the network's values grow too large; try --amp off, "
            "or another checkpoint"
        )


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
