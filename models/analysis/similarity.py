"""Similarity of networks' features: linear CKA (Kornblith et al., ICML 2019), from clips in batches."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sts_common import counted

FOLDS = 20  # parts of the clips, each left out once for the standard error
MIN_CLIPS = 4  # clips: the unbiased estimate divides by n - 3
COLUMNS = 65536  # of a feature that are in float64 at a time
ROUNDING_ERROR = 1e-24  # of squares: what float64 leaves of a constant when its mean is subtracted


def pooled(feature: Tensor) -> Tensor:
    """Return the mean of each channel over time and place, (N, C): content, whatever its position."""
    return feature.flatten(2).mean(2) if feature.dim() > 2 else feature


def flattened(feature: Tensor) -> Tensor:
    """Return all of a map, (N, C T H W): content with its position."""
    return feature.flatten(1)


FEATURES: dict[str, Callable[[Tensor], Tensor]] = {"pooled": pooled, "flattened": flattened}


class LinearCKA:
    """Linear CKA of every pair of M features, accumulated over batches of clips.

    It is the minibatch estimate of Nguyen et al. (ICLR 2021): unbiased HSIC (Song et al., JMLR 2012) is averaged over
    batches, by their clips, and only then divided. A single batch is the estimate on all of its clips. The usual biased
    estimate is near 1 for anything with more channels than clips; here, what is unrelated is near 0, on either side.

    Args:
        count: Features M.

    Attributes:
        clips: Seen so far.
    """

    def __init__(self, count: int) -> None:
        self.sums, self.clips = torch.zeros(count, count, dtype=torch.float64), 0
        self.without = torch.zeros(FOLDS, count, count, dtype=torch.float64)  # sums without the clips of each fold

    def update(self, features: Sequence[Tensor]) -> None:
        """Add a batch.

        Args:
            features: M tensors (N, ...) of the same N clips, of any other shapes; N >= 4.

        Raises:
            ValueError: If there are fewer clips, or features do not have as many, or there are not M of them.
        """
        sizes = {len(feature) for feature in features}
        if len(features) != len(self.sums) or len(sizes) != 1:
            raise ValueError(
                f"{len(self.sums)} features of the same clips are compared, not {len(features)} of {sizes}"
            )
        (n,) = sizes
        if n < MIN_CLIPS:
            raise ValueError(f"a batch of {counted(n, 'clip')}: similarity needs at least {MIN_CLIPS}")
        grams = torch.stack([gram_of(feature) for feature in features])
        self.sums += weighted_products(grams)
        folds = torch.arange(self.clips, self.clips + n, device=grams.device) % FOLDS
        for fold in range(FOLDS):
            members = (folds != fold).nonzero()[:, 0]
            if len(members) >= MIN_CLIPS:
                self.without[fold] += weighted_products(grams[:, members][:, :, members])
        self.clips += n

    def matrix(self) -> Tensor:
        """Compute CKA, float64 (M, M) in [-1, 1]; NaN for a feature that is the same for all clips."""
        return normalised(self.sums)

    def replicates(self) -> Tensor:
        """Compute CKA without each part of the clips, (folds, M, M); no fold where there is none that leaves enough."""
        folds = min(FOLDS, self.clips) if self.clips > MIN_CLIPS else 0
        return torch.stack([normalised(sums) for sums in self.without[:folds]]) if folds else self.without[:0]


def normalised(sums: Tensor) -> Tensor:
    """Compute CKA (M, M) from accumulated products; NaN where a feature does not vary."""
    lengths = sums.diagonal().sqrt()
    alike = (sums / lengths / lengths[:, None]).clamp(-1, 1)
    alike.diagonal()[lengths > 0] = 1
    return alike


def standard_error(replicates: Tensor) -> Tensor:
    """Compute the standard error of an estimate by the jackknife over groups (Efron and Tibshirani, 1993, ch. 11).

    It is (...), of estimates without each of equal parts of the data (folds, ...); NaN for fewer than two folds.
    """
    folds = len(replicates)
    spread = (replicates - replicates.mean(0)).square().sum(0)
    return (spread * (folds - 1) / folds).sqrt() if folds > 1 else torch.full_like(spread, float("nan"))


def weighted_products(grams: Tensor) -> Tensor:
    """Compute unbiased HSIC (M, M) of M inner products (M, N, N) of the same N clips, times N."""
    n = grams.shape[1]
    rows = torch.stack([centred(gram).flatten() for gram in grams])
    return (rows @ rows.T / (n - 3)).cpu()


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Compute linear CKA of two features (N, ...) of the same clips, unbiased; raises as `LinearCKA.update`.

    It does not change if either is rotated, scaled or shifted.
    """
    alike = LinearCKA(2)
    alike.update([first, second])
    return float(alike.matrix()[0, 1])


def gram_of(feature: Tensor) -> Tensor:
    """Compute the inner products of a feature's clips (N, ...), float64 (N, N); zero if the clips do not differ."""
    rows = feature.flatten(1)
    n = len(rows)
    gram, size = torch.zeros(n, n, dtype=torch.float64, device=rows.device), 0.0
    for part in rows.split(COLUMNS, 1):
        exact = part.double()
        size += float(exact.square().sum())
        exact = exact - exact.mean(0)  # changes nothing but the rounding
        gram += exact @ exact.T
    return torch.zeros_like(gram) if float(gram.trace()) <= ROUNDING_ERROR * size else gram


def centred(gram: Tensor) -> Tensor:
    """Center inner products (N, N) without bias: remove what clips share with all others (Szekely and Rizzo, 2014).

    The mean product of two such matrices off the diagonal, over n (n - 3) entries, is Song's estimate.

    Returns:
        The same shape, zero on the diagonal.
    """
    n = len(gram)
    gram = gram.clone().fill_diagonal_(0)
    means = gram.sum(1) / (n - 2)
    gram = gram - means - means[:, None] + gram.sum() / ((n - 1) * (n - 2))
    return gram.fill_diagonal_(0)
