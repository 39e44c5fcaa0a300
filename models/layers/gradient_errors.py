"""Errors of weight gradients of convolutions on this CPU, as torch computes them and as this project does."""

import math
import os
import pickle
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sts_common.processes import run_isolated

from .conv_gradients import left_to_torch

STALE_SIZES = tuple(4**power for power in range(4, 11))  # sizes of what `weight_error` leaves behind, values


def weight_error(convolution: nn.Conv3d, x: Tensor, dtype: torch.dtype) -> float:
    """Return the distance of a convolution's weight gradient from that of the same rounded numbers in float64.

    Memory that was given back before holds NaN, so that what is read beyond the clip shows.

    Args:
        convolution: Its weights and their memory format are used, and stay.
        x: Input, shape (N, C, T, H, W); its memory format is used.
        dtype: What gradients are computed in.

    Returns:
        Norm of the difference over that of the gradient; infinite if the gradient is not finite.
    """
    gradients: list[Tensor] = []
    for kind in (torch.float64, dtype):
        weight = convolution.weight.detach().to(dtype).to(kind).requires_grad_()
        stale = [torch.full((size,), math.nan) for size in STALE_SIZES]
        del stale
        padding, dilation, groups = convolution.padding, convolution.dilation, convolution.groups
        out = F.conv3d(x.to(dtype).to(kind), weight, None, convolution.stride, padding, dilation, groups)
        grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
        gradients += [value.double() for value in torch.autograd.grad(out, weight, grad.to(dtype).to(kind))]
    truth, computed = gradients
    return float((computed - truth).norm() / truth.norm()) if computed.isfinite().all() else math.inf


def errors_by_torch(trials: Iterable[tuple[nn.Conv3d, Tensor, torch.dtype]]) -> Iterator[float]:
    """Yield `weight_error` of each trial as torch computes the gradient; infinite where it ends its process.

    Each has a process of its own, for what is written beyond the memory of a gradient may be anybody's.
    """
    for trial in trials:
        error = run_isolated(error_by_torch, pickle.dumps(trial))
        yield math.inf if error is None else error


def error_by_torch(trial: bytes) -> float:
    """Return `weight_error` of the arguments in a pickle, with the gradient left to torch."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where the C library would say how the process ends
    with left_to_torch():
        return weight_error(*pickle.loads(trial))
