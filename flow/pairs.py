"""Pairs of grey images, as arrays or tensors, checked and brought to where a solver wants them."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
Back = Callable[[NDArray[np.float32]], Any]


class FlowSolver(Protocol):
    """Interface of a flow solver; its `description`, in plain types, is to be recorded beside the flow."""

    description: dict[str, Any]

    def __call__(self, previous: ArrayLike, following: ArrayLike) -> Any:
        """Compute flow (..., H, W, 2) float32 of grey images (H, W) or (N, H, W) uint8."""


def grey_pair(previous: ArrayLike, following: ArrayLike) -> tuple[Pair, Back]:
    """Return both images as contiguous uint8 arrays, and a function that moves the flow to where `previous` came from.

    They are arrays or tensors on any device, uint8 (H, W) or (N, H, W); raises ValueError for anything but two equally
    large sets of grey images.
    """
    first, second = grey_images(previous), grey_images(following)
    if first.shape != second.shape:
        raise ValueError(f"flow needs two images of one size, got {first.shape} and {second.shape}")
    if isinstance(previous, torch.Tensor):
        device = previous.device
        return (first, second), lambda flow: torch.from_numpy(flow).to(device)
    return (first, second), lambda flow: flow


def grey_images(images: Any) -> NDArray[np.uint8]:
    """Return `images` as a contiguous uint8 array (H, W) or (N, H, W); raise ValueError for anything else."""
    array = np.asarray(images.cpu() if isinstance(images, torch.Tensor) else images)
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or 0 in array.shape[-2:]:
        raise ValueError(f"flow needs uint8 grey images (H, W) or (N, H, W), got {array.dtype} {array.shape}")
    return np.ascontiguousarray(array)
