"""Calibration of probabilities: its errors, and the temperature that mends it (Guo et al., ICML 2017).

Written here in a few lines of float64: torchmetrics would be a dependency for these alone, and reports draw the bins.
"""

from math import inf

import torch.nn.functional as F
from scipy.optimize import brentq
from torch import Tensor

from .analysis import BINS, reliability

PRECISION, TINY = 1e-12, 1e-300  # of 1 / T, relative and absolute


class NoTemperatureError(ValueError):
    """No temperature is best: the nearer to the `limit`, 0 or infinity, the better."""

    def __init__(self, message: str, limit: float) -> None:
        super().__init__(message)
        self.limit = limit


def expected_calibration_error(logits: Tensor, target: Tensor, bins: int = BINS) -> float:
    """Compute ECE (Guo et al., eq. 3): mean over videos of |accuracy - confidence| of their bin, in [0, 1].

    The value depends on the number of bins of equal width, and is biased upwards where bins hold few videos.
    """
    return reliability(logits.double().softmax(1), target, bins).error


def negative_log_likelihood(logits: Tensor, target: Tensor) -> float:
    """Compute the NLL in nats, the mean over videos of -log p(target); log K for a uniform guess."""
    return F.cross_entropy(logits.double(), target).item()


def brier_score(logits: Tensor, target: Tensor) -> float:
    """Compute the Brier score (Brier, Monthly Weather Review, 1950): squared error of probabilities, sum over classes.

    It is a mean over videos, in [0, 2].
    """
    probabilities = logits.double().softmax(1)
    return (probabilities - F.one_hot(target, logits.shape[1])).square().sum(1).mean().item()


def fit_temperature(logits: Tensor, target: Tensor) -> float:
    """Fit the temperature T > 0 whose softmax(logits / T) has the least NLL (Guo et al., section 4.2).

    The NLL of held-out logits is convex in b = 1 / T; its derivative is brought to zero. Scaled logits have T scaled
    alike. Raises NoTemperatureError if no T is best: all predictions are right, so that any smaller T is better, or the
    logits are no better than a uniform guess, so that any larger T is.
    """
    centred = logits.double() - logits.double().mean(1, keepdim=True)
    scale = centred.std().item()
    z = centred / (scale or 1.0)
    if slope(0.0, z, target) >= 0:
        raise NoTemperatureError(
            "the held-out logits are no better than a guess, and the higher the temperature the better", inf
        )
    if bool((z.gather(1, target[:, None])[:, 0] == z.max(1).values).all()):
        raise NoTemperatureError(
            f"all {len(target):,} held-out videos are right, and the lower the temperature the better", 0.0
        )
    low, high = 0.0, 1.0
    while slope(high, z, target) < 0:
        low, high = high, 2 * high
    return scale / brentq(slope, low, high, args=(z, target), xtol=TINY, rtol=PRECISION)


def slope(b: float, z: Tensor, target: Tensor) -> float:
    """Compute the derivative of the NLL of softmax(b z) by b: the mean over videos of E[z] - z_target."""
    return (((b * z).softmax(1) * z).sum(1) - z.gather(1, target[:, None])[:, 0]).mean().item()
