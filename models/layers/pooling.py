"""Pooling and interpolation whose gradients are the same in every run, where that is asked for.

On GPUs torch's 3D pooling adds gradients up in whatever order threads come, and raises where
`torch.use_deterministic_algorithms` is set. Then, and only then, the same is put together here from parts of the map.
"""

from collections.abc import Callable
from functools import reduce
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sts_common.precision import is_unordered

Sizes = int | tuple[int, int, int]  # of every side, or of T, H and W


class MaxPool3d(nn.MaxPool3d):
    """Maxima of boxes; the same values either way."""

    kernel_size: Sizes
    stride: Sizes
    padding: Sizes

    def forward(self, x: Tensor) -> Tensor:
        if is_unordered(x):
            return maxima(x, self.kernel_size, self.stride, self.padding)
        return super().forward(x)


class AvgPool3d(nn.AvgPool3d):
    """Means of boxes, in which positions beyond the edges count as zeros; a map may be smaller than a box."""

    kernel_size: tuple[int, int, int]
    stride: tuple[int, int, int]
    padding: tuple[int, int, int]

    def forward(self, x: Tensor) -> Tensor:
        if is_unordered(x):
            added = reduce_windows(torch.add, 0.0, x, self.kernel_size, self.stride, self.padding)
            return added / prod(self.kernel_size)
        beyond = [side for padding in reversed(self.padding) for side in (padding, padding)]
        return F.avg_pool3d(F.pad(x, beyond), self.kernel_size, self.stride)  # torch's own padding asks for larger maps


POOLS = {"max": MaxPool3d, "avg": AvgPool3d}


def make_pool(
    method: str, kernel: tuple[int, int, int], stride: tuple[int, int, int], padding: tuple[int, int, int]
) -> nn.Module:
    """Build a pooling of maps (N, C, T, H, W).

    Raises:
        ValueError: If there is no such method.
    """
    if method not in POOLS:
        raise ValueError(f"--model_args pooling={method}: choose one of {', '.join(POOLS)}")
    return POOLS[method](kernel, stride, padding)


def maxima(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes) -> Tensor:
    """Compute `F.max_pool3d`, one axis after the other; equal maxima share the gradient."""
    return reduce_windows(torch.maximum, float("-inf"), x, kernel, stride, padding)


def reduce_windows(
    join: Callable[[Tensor, Tensor], Tensor], fill: float, x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes
) -> Tensor:
    """Join the values in windows of a map (N, C, T, H, W), two at a time, one axis after the other.

    Padding is filled with `fill`; sizes are those of torch's poolings.
    """
    sides = [(n, n, n) if isinstance(n, int) else n for n in (kernel, stride, padding)]
    for axis, (size, step, pad) in enumerate(zip(*sides, strict=True), 2):
        whole = [slice(None)] * axis
        margin = [0, 0] * (4 - axis) + [pad, pad]  # `F.pad` begins with the last axis
        padded = F.pad(x, margin, value=fill)
        ends = padded.shape[axis] - size + 1  # of the first positions of boxes; that of the last one is before it
        x = reduce(join, (padded[*whole, i : ends + i : step] for i in range(size)))
    return x


def grid_means(x: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Compute means over the cells of a grid, as `F.adaptive_avg_pool3d`.

    Args:
        x: Shape (N, C, T, H, W).
        grid: Cells along T, H and W; where there are more than places, they overlap.

    Returns:
        Shape (N, C, *grid).
    """
    by_parts = is_unordered(x) or (torch.compiler.is_exporting() and grid != (1, 1, 1))  # ONNX knows no other grid
    return means(x, grid) if by_parts else F.adaptive_avg_pool3d(x, grid)


def means(x: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Compute `grid_means`, one axis after another. Cell i of n reaches from floor(i L / n) to ceil((i + 1) L / n)."""
    for axis, cells in enumerate(grid, 2):
        size = x.shape[axis]
        bounds = [(i * size // cells, -(-(i + 1) * size // cells)) for i in range(cells)]
        x = torch.stack([x.narrow(axis, begin, end - begin).mean(axis) for begin, end in bounds], axis)
    return x


def interpolate(x: Tensor, size: int) -> Tensor:
    """Interpolate (N, C, L) along its last axis to (N, C, size), as `F.interpolate(mode="linear")`."""
    if is_unordered(x):
        every = torch.eye(x.shape[2], dtype=x.dtype, device=x.device)[None]
        return x @ F.interpolate(every, size, mode="linear")[0]
    return F.interpolate(x, size, mode="linear")
