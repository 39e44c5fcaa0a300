"""Distillation by knowledge review (Chen et al., CVPR 2021, https://arxiv.org/abs/2104.09044), in space and time.

Student features are walked from deep to shallow. Each level is fused with what the deeper levels left over
(attention-based fusion, ABF) and must then resemble the teacher's map of that level (hierarchical context
loss, HCL). The paper is 2D; here kernels, resizing and pooling grids are (T, H, W).

    avgpool -----> ABF -> HCL against avgpool      student levels, deepest first
                    |
    last stage --> ABF -> HCL against its last     r = u * A0 + resize(r_deeper) * A1
                    |
    the one before it --> ABF -> ...
"""

from collections.abc import Iterable, Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..backbones.contract import POOLED, PREACT
from ..backbones.output import Output
from ..layers.pooling import grid_means
from .distiller import (
    Distiller,
    at_least_float32,
    check_levels,
    check_norm,
    check_weight,
    error_divisor,
    log_unpaired,
    review_levels,
)
from .shapes import OutputShapes

GRIDS = (4, 2, 1)


class ABF(nn.Module):
    """Attention-based fusion of one level with the residual of the deeper levels.

    Args:
        in_channels: Channels of the student's map.
        mid_channels: Channels of the residual that is passed on.
        out_channels: Channels of the teacher's map.
        fuses: Whether there is a deeper level.
        time_kernel: Temporal size of the output convolution, 1 or 3.

    Shape:
        Map (N, in_channels, T, H, W) and residual (N, mid_channels, t, h, w) or None in; output
        (N, out_channels, T, H, W) and residual (N, mid_channels, T, H, W) out.
    """

    def __init__(
        self, in_channels: int, mid_channels: int, out_channels: int, *, fuses: bool, time_kernel: int = 1
    ) -> None:
        super().__init__()
        kernel, padding = (time_kernel, 3, 3), (time_kernel // 2, 1, 1)
        self.conv1 = nn.Sequential(nn.Conv3d(in_channels, mid_channels, 1, bias=False), nn.BatchNorm3d(mid_channels))
        self.conv2 = nn.Sequential(
            nn.Conv3d(mid_channels, out_channels, kernel, padding=padding, bias=False), nn.BatchNorm3d(out_channels)
        )
        self.att_conv = nn.Sequential(nn.Conv3d(2 * mid_channels, 2, 1), nn.Sigmoid()) if fuses else None
        for convolution in (self.conv1[0], self.conv2[0]):
            nn.init.kaiming_uniform_(convolution.get_parameter("weight"), a=1)

    def forward(self, x: Tensor, residual: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = self.conv1(x)
        if self.att_conv is not None:
            assert residual is not None
            residual = F.interpolate(residual, size=x.shape[2:], mode="nearest")
            gate = self.att_conv(torch.cat([x, residual], 1))  # (N, 2, T, H, W)
            x = x * gate[:, :1] + residual * gate[:, 1:]
        return self.conv2(x), x


def hierarchical_context_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Compute the squared error of two maps and of their averages over ever coarser grids, one level of HCL.

    The full map weighs 1, grids of 4, 2 and 1 cells a side weigh 1/2, 1/4, 1/8 as far as the map is larger than
    the grid; the sum is divided by the weights used. In time a grid has at most T cells: more would only repeat.

    Args:
        student: Shape (N, C, T, H, W).
        teacher: Shape (N, C, T, H, W).

    Returns:
        Scalar >= 0, zero when the maps agree.
    """
    frames, side = student.shape[2], min(student.shape[3:])
    loss, weight, total = F.mse_loss(student, teacher), 1.0, 1.0
    for cells in GRIDS:
        if cells >= side:
            continue
        weight /= 2
        grid = (min(cells, frames), cells, cells)
        loss = loss + weight * F.mse_loss(grid_means(student, grid), grid_means(teacher, grid))
        total += weight
    return loss / total


class Review(Distiller):
    """Multi-level review distillation over stage outputs and the pooled vector.

    Stage maps are taken before their last ReLU, where networks have them. Each level has the teacher's `counterpart`.

    Args:
        levels: Features of the student to review; None is every stage that has a counterpart, and the pooled vector.
        weight: Factor on every level, >= 0.
        mid_channels: Width of the fusion modules.
        time_kernel: Temporal size of their output convolution, 1 or 3.
        norm: "none", or "variance" to divide each level by the variance of the teacher's map.
    """

    equal_channels = False  # the connectors convert them

    def __init__(
        self,
        student: OutputShapes,
        teacher: OutputShapes,
        *,
        levels: Sequence[str] | None = None,
        weight: float = 1.0,
        mid_channels: int = 256,
        time_kernel: int = 1,
        norm: str = "none",
        warmup_epochs: int = 0,
    ) -> None:
        ours, theirs = student.features, teacher.features
        chosen = review_levels(levels or (), ours, theirs)
        log_unpaired("review", review_levels(levels or (), ours), chosen)
        wanted = check_levels("--review_layers", chosen, review_levels((), ours), theirs)
        pairs = {level: wanted[level] for level in ours if level in wanted}  # forward order, each once
        super().__init__(
            warmup_epochs, {map_name(ours, level): map_name(theirs, other) for level, other in pairs.items()}
        )
        if mid_channels < 1:
            raise ValueError(f"--review_mid must be >= 1 channel, got {mid_channels}")
        if any(prod(ours[level][1:]) == 1 for level in pairs):
            self.least_clips = 2  # batch norm takes its statistics of a level of one position over clips alone
        self.levels, self.weight, self.norm = pairs, check_weight("--review_weight", weight), check_norm(norm)
        self.connectors = nn.ModuleDict(
            {
                level: ABF(
                    ours[level][0],
                    mid_channels,
                    theirs[other][0],
                    fuses=level != next(reversed(pairs)),
                    time_kernel=time_kernel,
                )
                for level, other in pairs.items()
            }
        )

    def forward(self, student: Output, teacher: Output, target: Tensor | None) -> dict[str, Tensor]:
        terms, residual = {}, None
        for level, other in reversed(self.levels.items()):
            fused, residual = self.connectors[level](as_map(student, level), residual)
            reference = at_least_float32(as_map(teacher, other))
            error = hierarchical_context_loss(at_least_float32(fused), reference) / error_divisor(reference, self.norm)
            terms[f"loss_review_{level}"] = self.weight * error
        return terms


def map_name(features: Iterable[str], level: str) -> str:
    """Return the name of the feature to review at a level: before its last ReLU, where there is that."""
    return level + PREACT if level + PREACT in features else level


def as_map(output: Output, level: str) -> Tensor:
    """Return a feature to review, (N, C, T, H, W): a stage's map, if there before its last ReLU, or the vector."""
    feature = output.features[map_name(output.features, level)]
    return feature[:, :, None, None, None] if level == POOLED else feature
