"""3D ResNeXt, the backbone of STS-Net and MARS (Hara et al., CVPR 2018, https://arxiv.org/abs/1711.09577)."""

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from ..layers.residual import Bottleneck
from .resnet import DEEP, STEM_CHANNELS, ResidualTrunk, Stem

DEPTHS = {depth: DEEP[depth] for depth in (50, 101, 152)}
EXPANSION = 2


class ResNeXt(ResidualTrunk):
    """3D ResNeXt.

    Args:
        depth: 50, 101 or 152.
        shortcut: "A" (zero padding) or "B" (1x1x1 convolution).
        cardinality: Groups of the 3x3x3 convolutions.
        width: Factor on every channel count, >= 0.25; 1 is the published network.
        conv1_t_size, conv1_t_stride, no_max_pool: See `Stem`.

    Raises:
        ValueError: If the depth does not exist or the width leaves a group without a channel.
    """

    depths: ClassVar[Mapping[int, tuple[int, ...]]] = DEPTHS

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        depth: int,
        shortcut: str = "B",
        cardinality: int = 32,
        width: float = 1.0,
        conv1_t_size: int = 7,
        conv1_t_stride: int = 1,
        no_max_pool: bool = False,
    ) -> None:
        if depth not in DEPTHS:
            raise ValueError(f"--model resnext has --model_depth {sorted(DEPTHS)}, not {depth}")
        planes = [int(n * width) for n in (128, 256, 512, 1024)]
        if planes[0] < 32:
            raise ValueError(f"--width {width} leaves a group without a channel: --model resnext needs at least 0.25")

        def make_block(in_channels: int, planes: int, stride: int) -> nn.Module:
            size = {"expansion": EXPANSION, "width": cardinality * (planes // 32), "groups": cardinality}
            return Bottleneck(in_channels, planes, stride, shortcut=shortcut, **size)

        super().__init__(
            make_block,
            expansion=EXPANSION,
            blocks=list(zip(DEPTHS[depth], planes, strict=True)),
            in_channels=in_channels,
            num_classes=num_classes,
            stem_channels=int(STEM_CHANNELS * width),
            stem=Stem(conv1_t_size, conv1_t_stride, no_max_pool),
        )
