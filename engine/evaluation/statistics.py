"""Statistics of accuracies: confidence intervals, a paired test of two systems, a mean over splits."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Tensor

from sts_common import counted

DRAWS = 4_000_000  # video indices held at once; bounds memory for any number of videos


def resampled_means(values: Tensor, resamples: int = 10_000, seed: int = 1) -> Tensor:
    """Compute means over bootstrap samples of the videos (Efron, Annals of Statistics, 1979): (R, S), float64.

    Values are one number per system and video, (S, N); of top-1 accuracy 1 where the system is right, else 0. Each of R
    resamples draws N videos with replacement, the same for all systems: differences of columns are paired. A seed and
    an N give the same resamples whatever is measured on them; scipy's bootstrap would give other ones. Raises
    ValueError if there is no video or no resample.
    """
    videos = values.shape[1]
    if not videos or resamples < 1:
        raise ValueError(f"a bootstrap of {counted(videos, 'video')} with {resamples} resamples: at least 1 of both")
    generator = torch.Generator().manual_seed(seed)
    columns = values.double().T.contiguous()
    means = []
    for rows in torch.arange(resamples).split(max(1, DRAWS // videos)):
        indices = torch.randint(videos, (len(rows), videos), generator=generator)
        indices += torch.arange(len(rows))[:, None] * videos
        times = torch.bincount(indices.view(-1), minlength=len(rows) * videos).view(len(rows), videos)
        means.append(times.double() @ columns / videos)
    return torch.cat(means)


def percentile_interval(means: Tensor, level: float = 0.95) -> Tensor:
    """Compute bootstrap percentile intervals (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13).

    Means are as from `resampled_means`, or differences of its columns, (R, S); `level` is the coverage, in (0, 1).
    Returns lower and upper ends, shape (S, 2), float64. Where all videos have the same value both are that value: the
    bootstrap cannot tell how sure 100 % of few videos is. Raises ValueError if the level is not in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"an interval of level {level}: between 0 and 1, such as 0.95")
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    return torch.stack([torch.quantile(column.double(), ends) for column in means.T])


@dataclass(frozen=True)
class Contingency:
    """Contingency of two systems: on how many videos each of them is right."""

    both: int  # videos on which both are right
    first: int  # on which only the first is
    second: int  # on which only the second is
    neither: int  # on which both are wrong
    p: float  # of McNemar's exact test, see `mcnemar`


def compare(first: Tensor, second: Tensor) -> Contingency:
    """Compare two systems by McNemar's test: whether each is right on the same videos, (N,) bool."""
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    return Contingency(both, only_first, only_second, neither, mcnemar(only_first, only_second))


def mcnemar(first: int, second: int) -> float:
    """Compute the exact p value of McNemar's test (McNemar, Psychometrika, 1947): no normal approximation, no mid-p.

    If two systems are equally good, each of the n videos on which only one is right is as likely to be the first's as
    the second's: p = min(1, 2 P(X <= min(first, second))), X binomial of n and 1/2. Edwards' corrected chi-square
    (Psychometrika, 1948) approximates it for large n. p is 1 if the two counts are equal, 0 where it is less than the
    least double.
    """
    return float(binomtest(min(first, second), first + second).pvalue) if first + second else 1.0


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Compute mean and sample standard deviation (n - 1) of values; raises ValueError if there are fewer than two."""
    if len(values) < 2:
        raise ValueError(f"a standard deviation of {len(values)} values: at least two")
    numbers = torch.tensor(values, dtype=torch.float64)
    return numbers.mean().item(), numbers.std(correction=1).item()


def gap_closed(low: float, high: float, accuracy: float) -> float | None:
    """Compute which share of the gap between two accuracies another one closes; None where there is no gap."""
    return (accuracy - low) / (high - low) if high > low else None
