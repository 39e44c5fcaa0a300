"""Pooling whose gradients are the same in every run, where that is asked for.

On GPUs torch's 3D pooling adds gradients up in whatever order threads come, and raises where
`torch.use_deterministic_algorithms` is set. Then, and only then, the same is put together here from parts of the map.
"""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def is_unordered(x: Tensor) -> bool:
    """Whether torch would pool this map with gradients that differ from run to run, and `--deterministic` is on."""
    return x.is_cuda and torch.are_deterministic_algorithms_enabled()


class MaxPool3d(nn.MaxPool3d):
    """Maxima of cubes with `kernel_size`, `stride` and `padding` for every side; the same values either way."""

    kernel_size: int
    stride: int
    padding: int

    def forward(self, x: Tensor) -> Tensor:
        if is_unordered(x):
            return maxima(x, self.kernel_size, self.stride, self.padding)
        return super().forward(x)


def maxima(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """Compute `F.max_pool3d`, one axis after the other; equal maxima share the gradient.

    Args:
        x: Shape (N, C, T, H, W).
        kernel: Side of the cubes.
        stride: Steps from one cube to the next.
        padding: Positions beyond the edges, which are never the greatest.
    """
    for axis in (2, 3, 4):
        whole = [slice(None)] * axis
        beyond = [0, 0] * (4 - axis) + [padding, padding]  # `F.pad` begins with the last axis
        padded = F.pad(x, beyond, value=float("-inf"))
        ends = padded.shape[axis] - kernel + 1  # of the first positions of cubes; that of the last one is before it
        x = reduce(torch.maximum, (padded[*whole, i : ends + i : stride] for i in range(kernel)))
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
