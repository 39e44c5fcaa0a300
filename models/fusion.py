"""Fusion: one score per video from the logits of the streams.

ActivNo is the fusion of STS-Net: the mean of the raw logits, no activation. The others are what it was
compared with. Averaging over a video's clips comes first, then the activation, then the streams; scores that were
activated clip by clip go through `combine` alone.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

FUSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "activno": lambda logits: logits,
    "softmax": lambda logits: logits.softmax(-1),
    "log_softmax": lambda logits: logits.log_softmax(-1),
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "l2": lambda logits: F.normalize(logits, dim=-1),
}


def fuse(logits: Tensor, method: str = "activno", weights: Sequence[float] | None = None) -> Tensor:
    """Compute the weighted mean over streams of the activated logits.

    Args:
        logits: Mean over clips per stream, shape (S, N, K).
        method: A key of `FUSIONS`.
        weights: See `stream_weights`.

    Returns:
        Scores, shape (N, K).

    Raises:
        ValueError: If the method is unknown or the weights do not fit.
    """
    if method not in FUSIONS:
        raise ValueError(f"--fusion {method}: choose one of {', '.join(FUSIONS)}")
    return combine(FUSIONS[method](logits), weights)


def combine(activated: Tensor, weights: Sequence[float] | None = None) -> Tensor:
    """Compute the weighted mean (N, K) over streams of scores (S, N, K) that need no further activation.

    For `weights` and errors see `stream_weights`.
    """
    # Filled where they are: a GPU would be waited for with weights that are copied to it.
    share = torch.stack([activated.new_full((), weight) for weight in stream_weights(weights, len(activated))])
    return (activated * share[:, None, None]).sum(0)


def stream_weights(weights: Sequence[float] | None, streams: int) -> list[float]:
    """Return the share of each stream, summing to 1.

    Args:
        weights: One per stream, finite, >= 0 and not all zero; None weighs all alike.
        streams: Number of streams.

    Raises:
        ValueError: If the weights do not fit.
    """
    relative = [1.0] * streams if weights is None else list(weights)
    if len(relative) != streams or not all(0 <= weight < math.inf for weight in relative) or sum(relative) == 0:
        raise ValueError(f"--fusion_weights {weights}: {streams} streams need {streams} weights >= 0, not all zero")
    return [weight / sum(relative) for weight in relative]
