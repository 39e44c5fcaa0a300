"""R(2+1)D (Tran et al., CVPR 2018, https://arxiv.org/abs/1711.11248), as 3D-ResNets has it.

Each 3x3x3 convolution is one over space, 1x3x3, a batch norm, a ReLU and one over time, 3x1x1, with as many channels
between them that the parameters stay about as many. The names are those of the weights that 3D-ResNets released.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from ..layers.pointwise import PointwiseConv3d
from ..layers.residual import EXPANSION, make_shortcut
from .contract import Weights
from .resnet import SHALLOW, ResidualTrunk, Stem, plan
from .students import DISTIL, of_students

MakeShortcut = Callable[[int, int, int], nn.Module | None]  # of input channels, output channels and stride
RGB_CHANNELS = 3  # for which the channels of the stem are counted, whatever the stream


def mid_channels(in_channels: int, out_channels: int, frames: int, side: int) -> int:
    """Return the channels between the two parts of a convolution over so many frames and pixels."""
    area = side * side
    count = frames * area * in_channels * out_channels // (area * in_channels + frames * out_channels)
    return max(1, count)


class SplitConvs(nn.Module):
    """A module whose convolutions may be split, with parts named conv1_s, bn1_s, conv1_t and bn1_t."""

    def add_split(self, number: int, in_channels: int, out_channels: int, stride: int) -> None:
        """Add a split 3x3x3 convolution, and the batch norm after it."""
        mid, s = mid_channels(in_channels, out_channels, 3, 3), stride
        self.add_parts(
            number,
            nn.Conv3d(in_channels, mid, (1, 3, 3), (1, s, s), (0, 1, 1), bias=False),
            nn.Conv3d(mid, out_channels, (3, 1, 1), (s, 1, 1), (1, 0, 0), bias=False),
        )

    def add_parts(self, number: int, space: nn.Conv3d, time: nn.Conv3d) -> None:
        """Add the two parts, and the batch norms after them."""
        for part, conv in (("s", space), ("t", time)):
            self.add_module(f"conv{number}_{part}", conv)
            self.add_module(f"bn{number}_{part}", nn.BatchNorm3d(conv.out_channels))

    def split(self, number: int, x: Tensor) -> Tensor:
        """Compute a split convolution, and the batch norm after it."""
        x = self.get_submodule(f"bn{number}_s")(self.get_submodule(f"conv{number}_s")(x)).relu_()
        return self.get_submodule(f"bn{number}_t")(self.get_submodule(f"conv{number}_t")(x))


class BasicBlock(SplitConvs):
    """Two split convolutions and a residual connection; returns the sum before the last ReLU."""

    def __init__(self, in_channels: int, planes: int, stride: int, *, make_shortcut: MakeShortcut) -> None:
        super().__init__()
        self.add_split(1, in_channels, planes, stride)
        self.add_split(2, planes, planes, 1)
        self.downsample = make_shortcut(in_channels, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        return self.split(2, self.split(1, x).relu_()) + residual


class Bottleneck(SplitConvs):
    """1x1x1 reduce, a split convolution, 1x1x1 expand, and a residual connection, as `BasicBlock`."""

    def __init__(self, in_channels: int, planes: int, stride: int, *, make_shortcut: MakeShortcut) -> None:
        super().__init__()
        out_channels = planes * EXPANSION
        self.conv1 = PointwiseConv3d(in_channels, planes, bias=False)
        self.bn1 = nn.BatchNorm3d(planes)
        self.add_split(2, planes, planes, stride)
        self.conv3 = PointwiseConv3d(planes, out_channels, bias=False)
        self.bn3 = nn.BatchNorm3d(out_channels)
        self.downsample = make_shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        x = self.split(2, self.bn1(self.conv1(x)).relu_()).relu_()
        return self.bn3(self.conv3(x)) + residual


def make_split_shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """Build a 1x1x1 convolution of two parts that fits a block's input to its output; None where they fit already."""
    if stride == 1 and in_channels == out_channels:
        return None
    mid, s = mid_channels(in_channels, out_channels, 1, 1), stride
    return nn.Sequential(
        *(nn.Conv3d(in_channels, mid, 1, (1, s, s), bias=False), nn.BatchNorm3d(mid), nn.ReLU(inplace=True)),
        *(nn.Conv3d(mid, out_channels, 1, (s, 1, 1), bias=False), nn.BatchNorm3d(out_channels)),
    )


class ResNet2Plus1D(ResidualTrunk, SplitConvs):
    """R(2+1)D of basic blocks, and of bottlenecks from 50 layers on.

    Args:
        depth: 10, 18, 34, 50, 101, 152 or 200.
        shortcut: "A" (zero padding) or "B" (1x1x1 convolution).
        width: Factor on every channel count, > 0; 1 is the published network.
        conv1_t_size, conv1_t_stride, no_max_pool: See `Stem`.
        split_shortcut: Whether shortcuts are split as well, as in Distil-2D-3D, whatever `shortcut` says.

    Raises:
        ValueError: If the depth does not exist or the width leaves no channel.
    """

    first_conv, marks = "conv1_s", ("conv1_t.weight",)
    dialects: ClassVar = {
        DISTIL: of_students(
            {"spatial_conv": "conv{}_s", "bn": "bn{}_s", "temporal_conv": "conv{}_t"},
            "bn{}_t",
            {"conv.spatial_conv": "0", "conv.bn": "1", "conv.temporal_conv": "3", "bn": "4"},
        )
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
        split_shortcut: bool = False,
    ) -> None:
        blocks = plan("resnet2p1d", depth, width)
        block = BasicBlock if depth in SHALLOW else Bottleneck
        build_shortcut: MakeShortcut = partial(make_shortcut, shortcut=shortcut)
        if split_shortcut:
            build_shortcut = make_split_shortcut
        super().__init__(
            partial(block, make_shortcut=build_shortcut),
            expansion=1 if depth in SHALLOW else EXPANSION,
            blocks=blocks,
            in_channels=in_channels,
            num_classes=num_classes,
            stem_channels=blocks[0][1],
            stem=Stem(conv1_t_size, conv1_t_stride, no_max_pool),
        )

    def add_stem(self, in_channels: int, channels: int, stem: Stem) -> None:
        mid, size = mid_channels(RGB_CHANNELS, channels, stem.t_size, 7), stem.t_size
        self.add_parts(
            1,
            nn.Conv3d(in_channels, mid, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.Conv3d(mid, channels, (size, 1, 1), (stem.t_stride, 1, 1), (size // 2, 0, 0), bias=False),
        )

    def run_stem(self, x: Tensor) -> Tensor:
        return self.split(1, x)

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        time = weights["conv1_t.weight"]  # its output has the channels that the width is of
        split = {"split_shortcut": True} if any(name.endswith("downsample.4.weight") for name in weights) else {}
        return super().shown_by({**weights, f"{cls.first_conv}.weight": time}, width) | split
