"""The network: frames in, the flow between them out, at five scales."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

UNIT = 20.0  # pixels of the frames that an output of 1 means: the published factors 0.625, 1.25, ... 10 of each scale
CHANNELS = (64, 128, 256, 512, 512, 1024)


class MotionNet(nn.Module):
    """MotionNet: an encoder of 3x3 convolutions that halves the frames five times, and a decoder that predicts flow.

    Args:
        frames: F, >= 2; the publication has 11.
        width: Factor on all channel counts, > 0.
    """

    def __init__(self, frames: int = 11, width: float = 1.0) -> None:
        super().__init__()
        if frames < 2:
            raise ValueError(f"motion needs 2 frames or more, got {frames}")
        planes = [max(1, round(count * width)) for count in CHANNELS]
        self.frames, flow = frames, 2 * (frames - 1)
        self.encoder = nn.ModuleList(
            nn.Sequential(convolution(before, count, stride=1 + bool(i)), convolution(count, count))
            for i, (before, count) in enumerate(zip((3 * frames, *planes), planes, strict=False))
        )
        self.upsample, self.refine = nn.ModuleList(), nn.ModuleList()
        self.predict = nn.ModuleList([nn.Conv2d(planes[-1], flow, 3, padding=1)])
        below = planes[-1]
        for skip, count in zip(planes[-2:0:-1], (*planes[3:0:-1], planes[0]), strict=True):
            self.upsample.append(nn.ConvTranspose2d(below, count, 4, stride=2, padding=1))
            self.refine.append(nn.Conv2d(skip + count + flow, count, 3, padding=1))
            self.predict.append(nn.Conv2d(count, flow, 3, padding=1))
            below = count
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, 0.1, nonlinearity="leaky_relu")
                nn.init.zeros_(cast(Tensor, module.bias))
        for head in self.predict:  # an untrained network sees almost no motion
            nn.init.normal_(cast(nn.Conv2d, head).weight, std=1e-3)

    def forward(self, clips: Tensor) -> list[Tensor]:
        """Predict the flow of clips (N, 3, F, H, W), float, as the network was trained on.

        Returns flow at the five scales, coarse to fine, each (N, F - 1, 2, H', W'): pixels of the clips' own size H and
        W, x first, from each frame to the next.
        """
        x, skips = clips.transpose(1, 2).flatten(1, 2), []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        raw = self.predict[0](x)
        flows = [raw]
        for upsample, refine, predict, skip in zip(
            self.upsample, self.refine, list(self.predict)[1:], skips[-2:0:-1], strict=True
        ):
            size = skip.shape[-2:]
            above = F.leaky_relu(upsample(x), 0.1)
            x = refine(torch.cat((skip, resized(above, size), resized(raw, size)), 1))
            raw = predict(x)
            flows.append(raw)
        return [UNIT * flow.unflatten(1, (-1, 2)) for flow in flows]


def convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Return a 3x3 convolution and its leaky ReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, 1), nn.LeakyReLU(0.1, inplace=True))


def resized(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize maps (N, C, h, w) to a height and width, bilinear; those that have it are left alone."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def whole_flow(network: MotionNet, clips: Tensor) -> Tensor:
    """Compute the flow (N, T - 1, 2, H, W) of clips (N, 3, T, H, W) of T >= 2 frames, in pixels.

    Longer clips are seen in windows of the network's F frames, each beginning with the last frame of the one before;
    the last one ends with the clip. In shorter clips the last frame is repeated.
    """
    length, span = clips.shape[2], network.frames
    if length < span:
        clips = torch.cat((clips, clips[:, :, -1:].expand(-1, -1, span - length, -1, -1)), 2)
    last = clips.shape[2] - span
    starts = sorted({*range(0, last + 1, span - 1), last})
    windows = torch.stack([clips[:, :, start : start + span] for start in starts], 1).flatten(0, 1)
    finest = network(windows)[-1]
    flow = resized(finest.flatten(0, 1), clips.shape[-2:]).unflatten(0, (-1, len(starts), span - 1))
    parts, done = [], 0
    for k, start in enumerate(starts):
        parts.append(flow[:, k, done - start :])
        done = start + span - 1
    return torch.cat(parts, 1)[:, : length - 1]
