"""Losses of MotionNet, of frames alone: each, moved by its flow, is the next one, and that flow is smooth."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from ..precision import is_unordered

LEVELS = 255.0
EPSILON = 1e-3
BORDER = 0.1  # of the short side, on every side
WINDOW = 8  # pixels of the windows of SSIM, and the steps between them
C1, C2 = 1e-4, 1e-3
# bryanyzhu/Hidden-Two-Stream, models/multiframe_MotionNet/train.prototxt and the layers of its losses: 1 - SSIM is
# summed over the windows, here from coarse to fine, of the 30 channels of a clip of 224 pixels. The other losses are
# means, divided by the clips of a batch once more, and those of smoothness are of 20 channels and divided by 30.
WEIGHTS, WINDOWS = (0.16, 0.08, 0.04, 0.02, 0.01), (1, 4, 16, 49, 196)
SSIM = tuple(30 * count * weight for weight, count in zip(WEIGHTS, WINDOWS, strict=True))
BATCH = 16  # clips


@dataclass(frozen=True)
class MotionObjective:
    """The published losses of MotionNet, summed over its scales, all means, whatever the size and number of clips."""

    # Weight of the generalised Charbonnier loss (x^2 + e^2)^0.4 of the grey levels by which a frame differs from the
    # next one warped to it.
    photometric: float = 1.0
    # Weight of the Charbonnier loss, with exponent 0.3, of the differences of neighbouring flows, in pixels of the
    # scale.
    smoothness: float = 2 / 3
    # Weights of 1 - SSIM over 8x8 windows, of each scale, coarse to fine.
    ssim: Sequence[float] = tuple(BATCH * weight for weight in SSIM)

    def __call__(self, frames: Tensor, flows: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compute the terms, weighted: "photometric", "smoothness" and "ssim", scalars in float32.

        Args:
            frames: Shape (N, C, F, H, W), in [0, 1].
            flows: At each scale, coarse to fine, (N, F - 1, 2, h, w) in pixels of the frames' size.
        """
        height, width = frames.shape[-2:]
        images = frames.transpose(1, 2).flatten(0, 1).float()
        terms = []
        for weight, flow in zip(self.ssim, flows, strict=True):
            size = flow.shape[-2:]
            small = F.interpolate(images, size, mode="bilinear", antialias=True).unflatten(0, (len(frames), -1))
            first, following = (part.flatten(0, 1) for part in (small[:, :-1], small[:, 1:]))
            share = images.new_tensor([size[1] / width, size[0] / height])
            moved = flow.flatten(0, 1).float() * share.view(2, 1, 1)
            warped = warp(following, moved)
            difference = interior(charbonnier(LEVELS * (first - warped), 0.4), size).mean()
            structure = (1 - ssim(first, warped)).mean()
            terms.append(torch.stack((difference, roughness(moved), weight * structure)))
        photometric, smoothness, structure = torch.stack(terms).sum(0)
        return {
            "photometric": self.photometric * photometric,
            "smoothness": self.smoothness * smoothness,
            "ssim": structure,
        }


def warp(images: Tensor, flow: Tensor) -> Tensor:
    """Return images (M, C, h, w) seen from where their flow (M, 2, h, w), in their pixels, begins: bilinear, float32.

    Where the flow leaves the frame its nearest pixel is seen, so that leaving costs what it gets wrong.
    """
    height, width = images.shape[-2:]
    rows, columns = (torch.arange(n, device=flow.device, dtype=flow.dtype) for n in (height, width))
    x, y = columns + flow[:, 0], rows[:, None] + flow[:, 1]
    if is_unordered(flow):
        return sampled(images, x.clamp(0, width - 1), y.clamp(0, height - 1))
    grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), -1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


def sampled(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return images (M, C, h, w), which learn nothing, at places (M, h, w) within them: bilinear, sums in order."""
    height, width = images.shape[-2:]
    left, top = x.detach().floor(), y.detach().floor()
    total = torch.zeros_like(images)
    for right, below in product((0, 1), repeat=2):
        share = (x - left if right else 1 - (x - left)) * (y - top if below else 1 - (y - top))
        row, column = (top + below).clamp(max=height - 1), (left + right).clamp(max=width - 1)
        places = (row * width + column).long().flatten(1)[:, None].expand(-1, images.shape[1], -1)
        total = total + share[:, None] * images.flatten(2).gather(2, places).view_as(images)
    return total


def interior(values: Tensor, size: Sequence[int]) -> Tensor:
    """Return values (M, C, h, w), or of neighbours one less, without the border of a tenth of the frame's short side.

    There flow often leaves the frame. A mask of where it does leave would reward flow for leaving: at the coarsest
    scale a network soon learns to leave everywhere.
    """
    margin = round(BORDER * min(size))
    return values[..., margin : size[0] - margin, margin : size[1] - margin]


def charbonnier(x: Tensor, exponent: float) -> Tensor:
    """Compute the generalised Charbonnier penalty (x^2 + e^2)^exponent."""
    return (x.square() + EPSILON**2).pow(exponent)


def roughness(flow: Tensor) -> Tensor:
    """Compute the mean penalty of the differences of neighbouring flows (M, 2, h, w): to the right and below."""
    steps = (interior(step, flow.shape[-2:]) for step in (flow.diff(dim=-1), flow.diff(dim=-2)))
    return sum((charbonnier(step, 0.3).mean() for step in steps if step.numel()), flow.new_zeros(()))


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Compute the structural similarity of images (M, C, h, w) in [0, 1] by windows of 8x8 that do not overlap."""
    side = min(WINDOW, *first.shape[-2:])

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, side, side)

    a, b = mean(first), mean(second)
    variance = mean(first.square()) - a.square() + mean(second.square()) - b.square()
    covariance = mean(first * second) - a * b
    return (2 * a * b + C1) * (2 * covariance + C2) / ((a.square() + b.square() + C1) * (variance + C2))
