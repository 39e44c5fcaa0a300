"""Pairs of grey images, as arrays or tensors, checked and brought to where a solver wants them."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

CPU = torch.device("cpu")


class FlowSolver(Protocol):
    """Interface of a flow solver; its `description`, in plain types, is to be recorded beside the flow."""

    description: dict[str, Any]

    def __call__(self, previous: ArrayLike, following: ArrayLike) -> Any:
        """Compute flow (..., H, W, 2) float32 of grey images (H, W) or (N, H, W) uint8."""


def solve(
    previous: ArrayLike | Tensor, following: ArrayLike | Tensor, device: torch.device, find: Callable[..., Tensor]
) -> Any:
    """Do what `build_flow` promises by a function of tensors, from uint8 (N, H, W) twice to float32 (N, H, W, 2).

    Images are (H, W) or (N, H, W), array or tensor; those on the CPU are computed on `device`, others where they are.
    The flow is of the kind and on the device of `previous`. Raises ValueError for anything but two equally large sets
    of grey images.
    """
    first, second = grey_tensor(previous), grey_tensor(following)
    if first.shape != second.shape:
        raise ValueError(f"flow needs two images of one size, got {tuple(first.shape)} and {tuple(second.shape)}")
    target = device if first.device.type == "cpu" else first.device
    height, width = first.shape[-2:]
    pairs = [move(images, target).reshape(-1, height, width) for images in (first, second)]
    flow = find(*pairs).view(*first.shape, 2).to(first.device)
    return flow if isinstance(previous, Tensor) else flow.numpy()


def grey_tensor(images: ArrayLike | Tensor) -> Tensor:
    """Return `images` as a uint8 tensor (H, W) or (N, H, W) where they are; raise ValueError for anything else."""
    array = images if isinstance(images, Tensor) else np.array(images, order="C")
    if array.dtype not in (torch.uint8, np.uint8) or array.ndim not in (2, 3) or 0 in array.shape[-2:]:
        raise ValueError(f"flow needs uint8 grey images (H, W) or (N, H, W), got {array.dtype} {tuple(array.shape)}")
    return array if isinstance(array, Tensor) else torch.from_numpy(array)


def move(images: Tensor, device: torch.device) -> Tensor:
    """Move `images` to `device`; on the way to a GPU the CPU does not wait."""
    if images.device.type == "cpu" and device.type == "cuda":
        return images.pin_memory().to(device, non_blocking=True)
    return images.to(device)
