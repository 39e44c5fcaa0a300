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
from ..layers.residual import EXPANSION, BasicBlock, Bottleneck
from .arguments import scaled_channels
from .contract import POOLED, PREACT, Backbone, Weights
from .students import DISTIL, of_students

STAGES = ("layer1", "layer2", "layer3", "layer4")
STEM_CHANNELS = 64  # of width 1
CHANNELS = (STEM_CHANNELS, 128, 256, 512)  # of the stages, before the expansion of bottlenecks
SHALLOW = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}  # of basic blocks
DEEP = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}  # of bottlenecks
DEPTHS = SHALLOW | DEEP
IMAGENET_DEPTHS = {depth: DEPTHS[depth] for depth in (18, 34, 50, 101, 152)}


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
        stem: What comes before the stages.
        stem_channels: Its output channels.

    Raises:
        ValueError: If the stem cannot be.

    Shape:
        Input (N, in_channels, T, H, W), any T, H, W >= 1; output `Output`.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {name: (name,) for name in STAGES}
    first_conv, classifier, has_preact, kernel_dims = "conv1", "fc", True, 3
    depths: ClassVar[Mapping[int, tuple[int, ...]]] = DEPTHS

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
        self.add_stem(in_channels, stem_channels, stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = stem.pool()
        self.feature_channels: dict[str, int] = {}
        channels = stem_channels
        for stage, (count, planes) in zip(STAGES, blocks, strict=True):
            layers, stride = [], 1 if stage == "layer1" else 2
            for _ in range(count):
                layers.append(make_block(channels, planes, stride))
                channels, stride = planes * expansion, 1
            setattr(self, stage, nn.Sequential(*layers))
            self.feature_channels |= {stage + PREACT: channels, stage: channels}
        self.feature_channels[POOLED] = channels
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def add_stem(self, in_channels: int, channels: int, stem: Stem) -> None:
        """Add what comes before the pooling of the stem and its ReLU."""
        kernel, padding = (stem.t_size, 7, 7), (stem.t_size // 2, 3, 3)
        self.conv1 = nn.Conv3d(in_channels, channels, kernel, (stem.t_stride, 2, 2), padding, bias=False)
        self.bn1 = nn.BatchNorm3d(channels)

    def run_stem(self, x: Tensor) -> Tensor:
        """Compute what `add_stem` has added."""
        return self.bn1(self.conv1(x))

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        x = self.maxpool(self.relu(self.run_stem(x)))
        features: dict[str, Tensor] = {}
        for stage in STAGES:
            *blocks, last = self.get_submodule(stage).children()
            for block in blocks:
                x = F.relu(block(x))
            features[stage + PREACT], preact = self.merge_segments(last(x))
            features[stage], x = self.merge_segments(F.relu(preact))  # not in place: `preact` may be kept
        return features | {POOLED: self.head(x)}

    def head(self, x: Tensor) -> Tensor:
        """Compute what the classifier reads, (N, C), from the last stage's map."""
        return x.mean((2, 3, 4))

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        stem = weights[f"{cls.first_conv}.weight"]
        fits = len(stem) == int(STEM_CHANNELS * width)  # several widths may give as many channels
        pads = any(name.startswith(STAGES[-1]) for name in weights) and not any(".downsample." in n for n in weights)
        return {
            "conv1_t_size": stem.shape[2],
            "width": width if fits else len(stem) / STEM_CHANNELS,
            **depth_in(weights, cls.depths),
            **({"shortcut": "A"} if pads else {}),
        }


def depth_in(weights: Weights, depths: Mapping[int, tuple[int, ...]]) -> dict[str, int]:
    """Return the depth that the names of a ResNet's weights show, as an argument; {} if it is none of these."""
    blocks = {tuple(name.split(".")[:2]) for name in weights if name.startswith(STAGES)}
    counts = tuple(sum(stage == block[0] for block in blocks) for stage in STAGES)
    basic = f"{STAGES[0]}.0.conv3.weight" not in weights
    fitting = [depth for depth, known in depths.items() if known == counts and (depth in SHALLOW) == basic]
    return {"depth": fitting[0]} if fitting else {}


def plan(model: str, depth: int, width: float, depths: Mapping[int, tuple[int, ...]] = DEPTHS) -> list[tuple[int, int]]:
    """Return the number of blocks and the planes of each stage of a ResNet.

    Raises:
        ValueError: If the depth does not exist or the width leaves no channel.
    """
    if depth not in depths:
        raise ValueError(f"--model {model} has --model_depth {sorted(depths)}, not {depth}")
    return list(zip(depths[depth], scaled_channels(CHANNELS, width), strict=True))


class ResNet(ResidualTrunk):
    """3D ResNet of basic blocks, and of bottlenecks from 50 layers on.

    Args:
        depth: 10, 18, 34, 50, 101, 152 or 200.
        shortcut: "A" (zero padding) or "B" (1x1x1 convolution).
        width: Factor on every channel count, > 0; 1 is the published network.
        conv1_t_size, conv1_t_stride, no_max_pool: See `Stem`.

    Raises:
        ValueError: If the depth does not exist or the width leaves no channel.
    """

    dialects: ClassVar = {
        DISTIL: of_students({"temporal_spatial_conv": "conv{}"}, "bn{}", {"conv.temporal_spatial_conv": "0", "bn": "1"})
    }
    dialect_arguments: ClassVar = {DISTIL: {"no_max_pool": True}}

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
        blocks = plan("resnet", depth, width)
        super().__init__(
            partial(BasicBlock if depth in SHALLOW else Bottleneck, shortcut=shortcut),
            expansion=1 if depth in SHALLOW else EXPANSION,
            blocks=blocks,
            in_channels=in_channels,
            num_classes=num_classes,
            stem_channels=blocks[0][1],
            stem=Stem(conv1_t_size, conv1_t_stride, no_max_pool),
        )

    @classmethod
    def imagenet_name(cls, arguments: Mapping[str, Any]) -> str:
        fits = arguments["width"] == 1 and arguments["shortcut"] == "B" and arguments["depth"] in IMAGENET_DEPTHS
        return f"resnet{arguments['depth']}" if fits else ""
