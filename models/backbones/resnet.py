"""3D ResNets (Hara et al., CVPR 2018, https://arxiv.org/abs/1711.09577).

Attribute names (conv1, bn1, layer1..layer4, fc, downsample) are file format: the published STS-Net,
MARS and 3D-ResNets weights use them.

    clip (N, C, T, H, W) - conv1 /(1,2,2) - maxpool /2 - layer1 - layer2 /2 - layer3 /2 - layer4 /2 - mean - fc
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.pooling import MaxPool3d
from .contract import POOLED, PREACT, Backbone, Weights

STAGES = ("layer1", "layer2", "layer3", "layer4")
SHORTCUTS = ("A", "B")
STEM_CHANNELS = 64  # of width 1
DEPTHS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class ZeroPadShortcut(nn.Module):
    """Shortcut A: subsample, then append zero channels. Has no weights, and lets the gradient through."""

    def __init__(self, out_channels: int, stride: int) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        s = self.stride
        x = x[:, :, ::s, ::s, ::s]
        return F.pad(x, (0, 0, 0, 0, 0, 0, 0, self.out_channels - x.shape[1]))


def make_shortcut(
    in_channels: int, out_channels: int, stride: int, shortcut: str, t_stride: int | None = None
) -> nn.Module | None:
    """Build the module that fits a block's input to its output; None where they fit already.

    Along time the stride of "B" may be another, `t_stride`.

    Raises:
        ValueError: If `shortcut` is neither "A" nor "B".
    """
    if shortcut not in SHORTCUTS:
        raise ValueError(f"--resnet_shortcut must be one of {', '.join(SHORTCUTS)}, got {shortcut!r}")
    if stride == 1 and in_channels == out_channels:
        return None
    if shortcut == "A":
        return ZeroPadShortcut(out_channels, stride)
    strides = (t_stride or stride, stride, stride)
    return nn.Sequential(nn.Conv3d(in_channels, out_channels, 1, strides, bias=False), nn.BatchNorm3d(out_channels))


class BasicBlock(nn.Module):
    """Two 3x3x3 convolutions and a residual connection.

    Returns the sum *before* the last ReLU, which the stage applies: review distillation wants that map.
    """

    def __init__(self, in_channels: int, planes: int, stride: int, *, shortcut: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(in_channels, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.conv2 = nn.Conv3d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm3d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_channels, planes, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.bn2(self.conv2(x)) + residual


class Stem(NamedTuple):
    """The layers before the first stage: a convolution, and a pooling of 3 with stride 2 in space, and in time or not.

    Attributes:
        t_size: Frames that the convolution spans, odd; 7 in the published networks.
        t_stride: Its step from frame to frame; 1 in the published networks.
        no_max_pool: Whether the pooling is left out.
        pools_time: Whether frames are pooled as well.
    """

    t_size: int = 7
    t_stride: int = 1
    no_max_pool: bool = False
    pools_time: bool = True

    def pool(self) -> nn.Module:
        """Build the pooling."""
        if self.no_max_pool:
            return nn.Identity()
        return MaxPool3d(3, 2, 1) if self.pools_time else MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))


PUBLISHED = Stem()


class ResidualTrunk(Backbone):
    """Stem, four stages, global average pooling and a classifier, for any residual block.

    Args:
        make_block: Called with (input channels, planes, stride).
        expansion: Output channels of a block over its planes.
        blocks: Number of blocks and planes of each of the four stages.
        in_channels: 3 for RGB, 2 for flow.
        num_classes: Width of the classifier.
        stem: What comes before the stages.
        stem_channels: Its output channels.

    Raises:
        ValueError: If the stem cannot be.

    Shape:
        Input (N, in_channels, T, H, W), any T, H, W >= 1; output `Output`.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {name: (name,) for name in STAGES}
    first_conv, classifier, has_preact, kernel_dims = "conv1", "fc", True, 3

    def __init__(
        self,
        make_block: Callable[[int, int, int], nn.Module],
        *,
        expansion: int,
        blocks: Sequence[tuple[int, int]],
        in_channels: int,
        num_classes: int,
        stem_channels: int,
        stem: Stem = PUBLISHED,
    ) -> None:
        super().__init__()
        if stem.t_size < 1 or stem.t_size % 2 == 0:
            raise ValueError(f"--conv1_t_size must be odd, so that it has a middle frame, got {stem.t_size}")
        if stem.t_stride < 1:
            raise ValueError(f"--conv1_t_stride must be >= 1, got {stem.t_stride}")
        kernel, padding = (stem.t_size, 7, 7), (stem.t_size // 2, 3, 3)
        self.conv1 = nn.Conv3d(in_channels, stem_channels, kernel, (stem.t_stride, 2, 2), padding, bias=False)
        self.bn1 = nn.BatchNorm3d(stem_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = stem.pool()
        self.feature_channels: dict[str, int] = {}
        channels = stem_channels
        for stage, (count, planes) in zip(STAGES, blocks, strict=True):
            made, stride = [], 1 if stage == "layer1" else 2
            for _ in range(count):
                made.append(make_block(channels, planes, stride))
                channels, stride = planes * expansion, 1
            setattr(self, stage, nn.Sequential(*made))
            self.feature_channels |= {stage + PREACT: channels, stage: channels}
        self.feature_channels[POOLED] = channels
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        features: dict[str, Tensor] = {}
        for stage in STAGES:
            *blocks, last = self.get_submodule(stage).children()
            for block in blocks:
                x = F.relu(block(x))
            features[stage + PREACT], preact = self.keep(last(x))
            features[stage], x = self.keep(F.relu(preact))  # not in place: `preact` may be kept
        return features | {POOLED: self.head(x)}

    def head(self, x: Tensor) -> Tensor:
        """Compute what the classifier reads, (N, C), from the last stage's map."""
        return x.mean((2, 3, 4))

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        stem = weights[f"{cls.first_conv}.weight"]
        fits = len(stem) == int(STEM_CHANNELS * width)  # several widths may give as many channels
        return {"conv1_t_size": stem.shape[2], "width": width if fits else len(stem) / STEM_CHANNELS}


class ResNet(ResidualTrunk):
    """3D ResNet of basic blocks.

    Args:
        in_channels: 3 for RGB, 2 for flow.
        num_classes: Width of the classifier.
        depth: 10, 18 or 34.
        shortcut: "A" (zero padding) or "B" (1x1x1 convolution).
        width: Factor on every channel count, > 0; 1 is the published network.
        conv1_t_size: See `Stem`.
        conv1_t_stride: See `Stem`.
        no_max_pool: See `Stem`.

    Raises:
        ValueError: If the depth does not exist or the width leaves no channel.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        depth: int,
        shortcut: str = "B",
        width: float = 1.0,
        conv1_t_size: int = 7,
        conv1_t_stride: int = 1,
        no_max_pool: bool = False,
    ) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"--model resnet has --model_depth {sorted(DEPTHS)}, not {depth}")
        planes = [int(n * width) for n in (STEM_CHANNELS, 128, 256, 512)]
        if planes[0] < 1:
            raise ValueError(f"--width {width} leaves no channel: use at least {1 / 64}")
        super().__init__(
            partial(BasicBlock, shortcut=shortcut),
            expansion=1,
            blocks=list(zip(DEPTHS[depth], planes, strict=True)),
            in_channels=in_channels,
            num_classes=num_classes,
            stem_channels=planes[0],
            stem=Stem(conv1_t_size, conv1_t_stride, no_max_pool),
        )
