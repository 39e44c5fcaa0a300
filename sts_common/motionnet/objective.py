"""What MotionNet learns from frames alone: that each, moved by its flow, is the next one, and that flow is smooth."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 255.0
EPSILON = 1e-3
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
            moved = flow.flatten(0, 1).float() * flow.new_tensor([size[1] / width, size[0] / height]).view(2, 1, 1)
            warped, inside = warp(following, moved)
            error = charbonnier(LEVELS * (first - warped), 0.4)
            # Where the flow leaves the frame nothing is known: there the images count as alike.
            structure = (1 - ssim(first, torch.where(inside, warped, first))).mean()
            terms.append(torch.stack((masked_mean(error, inside), roughness(moved), weight * structure)))
        photometric, smoothness, structure = torch.stack(terms).sum(0)
        return {
            "photometric": self.photometric * photometric,
            "smoothness": self.smoothness * smoothness,
            "ssim": structure,
        }


def warp(images: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return images (M, C, h, w) seen from where their flow (M, 2, h, w), in their pixels, begins: bilinear.

    Returns the warped images, float32, and where the flow ends inside of them, bool (M, 1, h, w).
    """
    height, width = images.shape[-2:]
    rows, columns = (torch.arange(n, device=flow.device, dtype=flow.dtype) for n in (height, width))
    x, y = columns + flow[:, 0], rows[:, None] + flow[:, 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), -1)
    warped = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return warped, inside[:, None]


def charbonnier(x: Tensor, exponent: float) -> Tensor:
    """Compute the generalised Charbonnier penalty (x^2 + e^2)^exponent."""
    return (x.square() + EPSILON**2).pow(exponent)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Compute the mean of values (M, C, h, w) where a mask (M, 1, h, w) holds; 0 if it holds nowhere."""
    return (values * mask).sum() / (mask.sum() * values.shape[1]).clamp(min=1)


def roughness(flow: Tensor) -> Tensor:
    """Compute the mean penalty of the differences of neighbouring flows (M, 2, h, w): to the right and below."""
    parts = [charbonnier(step, 0.3) for step in (flow.diff(dim=-1), flow.diff(dim=-2)) if step.numel()]
    return sum((part.mean() for part in parts), flow.new_zeros(()))


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Compute the structural similarity of images (M, C, h, w) in [0, 1] by windows of 8x8 that do not overlap."""
    side = min(WINDOW, *first.shape[-2:])

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, side, side)

    a, b = mean(first), mean(second)
    variance = mean(first.square()) - a.square() + mean(second.square()) - b.square()
    covariance = mean(first * second) - a * b
    return (2 * a * b + C1) * (2 * covariance + C2) / ((a.square() + b.square() + C1) * (variance + C2))
