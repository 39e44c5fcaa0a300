"""I3D (Carreira and Zisserman, CVPR 2017, https://arxiv.org/abs/1705.07750) of IBM's Action Recognition Study.

A GoogLeNet of 3x3x3 convolutions. Unlike in the publication the first convolution keeps all frames, and time steps are
halved by the three poolings before the stages, or nowhere. Names of layers are file format.

    clip (N, C, T, H, W) - conv1 /(1,2,2) - pool /(1,2,2) - conv2 - conv3 - pool /2 - inception3 - pool /2 - inception4
    - pool /2 - inception5 - mean - fc
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..layers.pointwise import PointwiseConv3d
from ..layers.pooling import MaxPool3d, make_pool
from .contract import POOLED, Backbone, Weights
from .googlenet import STAGES, STEM, UNITS, scaled, unit_channels
from .i3d_resnet import initialise_classifier, mean_of_steps
from .images import check_dropout

EPSILON = 1e-3  # of batch norms
LAST_STAGE = "inception5"
MIN_SIDE = 17  # pixels that leave two for a last pooling without padding
Convolve = Callable[[int, int], nn.Module]  # a 3x3x3 convolution of so many channels, with norm and ReLU


class ConvNorm(nn.Module):
    """A convolution without bias, a batch norm and a ReLU."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.conv, self.bn = conv, nn.BatchNorm3d(conv.out_channels, eps=EPSILON)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


def pointwise(in_channels: int, out_channels: int) -> ConvNorm:
    """Build a 1x1x1 convolution with norm and ReLU."""
    return ConvNorm(PointwiseConv3d(in_channels, out_channels, bias=False))


def cubic(in_channels: int, out_channels: int) -> ConvNorm:
    """Build a 3x3x3 convolution with norm and ReLU."""
    return ConvNorm(nn.Conv3d(in_channels, out_channels, 3, 1, 1, bias=False))


class Inception(nn.Module):
    """Four branches, whose maps are concatenated: a 1x1x1 convolution, two 3x3x3 ones, and a pooling.

    Args:
        in_channels: Of its input.
        planes: An entry of `UNITS`.
        convolve: Makes the 3x3x3 convolutions.
    """

    def __init__(self, in_channels: int, planes: Sequence[int], convolve: Convolve) -> None:
        super().__init__()
        alone, reduced2, second, reduced3, third, pooled = planes
        self.branch1 = pointwise(in_channels, alone)
        self.branch2 = nn.Sequential(pointwise(in_channels, reduced2), convolve(reduced2, second))
        self.branch3 = nn.Sequential(pointwise(in_channels, reduced3), convolve(reduced3, third))
        self.branch4 = nn.Sequential(MaxPool3d(3, 1, 1), pointwise(in_channels, pooled))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Inception3d(Backbone):
    """A 3D GoogLeNet, whose classifier sees each time step by itself; the logits are their mean.

    Args:
        convolve: Makes the 3x3x3 convolutions.
        frames: That the first convolution spans.
        padded: Whether the last pooling is padded, of 3x3x3 as the others; else it is of 2x2x2.
        width: Factor on every channel count, a multiple of 1/16.
        temporal_stride: Whether the poolings before the stages halve time steps.
        pooling: "max" or "avg", of all poolings but those in branches.
        dropout: Of each time step, before the classifier.

    Raises:
        ValueError: If a value cannot be, or clips are too short or too small for a last pooling without padding.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = STAGES
    first_conv, classifier, kernel_dims = "conv1.conv", "fc", 3

    def __init__(
        self,
        convolve: Convolve,
        *,
        in_channels: int,
        num_classes: int,
        frames: int,
        padded: bool,
        width: float,
        temporal_stride: bool,
        pooling: str,
        dropout: float,
    ) -> None:
        super().__init__()
        first, second, third = scaled(STEM, width)
        padding = (frames // 2, 3, 3)
        self.conv1 = ConvNorm(nn.Conv3d(in_channels, first, (frames, 7, 7), (1, 2, 2), padding, bias=False))
        self.pool1 = make_pool(pooling, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.conv2, self.conv3 = pointwise(first, second), convolve(second, third)
        self.min_frames = 1 if padded else 5 if temporal_stride else 2  # time steps
        stride, channels = (2 if temporal_stride else 1, 2, 2), third
        self.pools = nn.ModuleDict({stage: make_pool(pooling, (3, 3, 3), stride, (1, 1, 1)) for stage in STAGES})
        if not padded:
            self.pools[LAST_STAGE] = make_pool(pooling, (2, 2, 2), stride, (0, 0, 0))
        self.feature_channels: dict[str, int] = {}
        for stage, units in STAGES.items():
            for unit in units:
                planes = scaled(UNITS[unit], width)
                setattr(self, unit, Inception(channels, planes, convolve))
                channels = unit_channels(planes)
            self.feature_channels[stage] = channels
        self.feature_channels[POOLED] = channels
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        initialise_classifier(self.fc)

    def check_size(self, frames: int, side: int) -> None:
        """Refuse clips of which the last pooling would leave nothing; raises ValueError."""
        if frames < self.min_frames:
            raise ValueError(
                f"--sample_duration: of {frames} time steps the last pooling of the network, which is not padded, "
                f"leaves nothing; take {self.min_frames} or more"
            )
        if side < MIN_SIDE and self.min_frames > 1:
            raise ValueError(
                f"--sample_size {side}: the last pooling of the network, which is not padded, leaves nothing; take "
                f"{MIN_SIDE} or more"
            )

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        self.check_size(x.shape[2], min(x.shape[3:]))
        x = self.conv3(self.conv2(self.pool1(self.conv1(x))))
        features: dict[str, Tensor] = {}
        for stage, units in STAGES.items():
            x = self.pools[stage](x)
            for unit in units:
                x = self.get_submodule(unit)(x)
            features[stage], x = self.merge_segments(x)
        return features | {POOLED: mean_of_steps(x, self.dropout)}

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        return {"width": len(weights["conv1.conv.weight"]) / STEM[0]}

    @classmethod
    def imagenet_name(cls, arguments: Mapping[str, Any]) -> str:
        return "googlenet" if arguments["width"] == 1 else ""

    @classmethod
    def left_open(cls, arguments: Mapping[str, Any]) -> Sequence[str]:
        return ("temporal_stride", "pooling")


class I3D(Inception3d):
    """I3D, of the study; raises as `Inception3d`.

    Args:
        width: Factor on every channel count, a multiple of 1/16; 1 is the published network.
        temporal_stride: Whether time steps are halved, rounded up, before each stage.
        pooling: "max" or "avg", of all poolings but those in branches.
        version: 2 is "i3d_v2", of the study's code; 1 is "i3d" of its published tables, whose last pooling is S3D's.
        dropout: Of each time step, before the classifier.
    """

    marks: ClassVar = ("inception3a.branch2.1.conv.weight",)

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        width: float = 1.0,
        temporal_stride: bool = True,
        pooling: str = "max",
        version: int = 2,
        dropout: float = 0.5,
    ) -> None:
        if version not in (1, 2):
            raise ValueError(f"--model_args version={version}: choose 1 or 2")
        super().__init__(
            cubic,
            in_channels=in_channels,
            num_classes=num_classes,
            frames=7,
            padded=version == 2,
            width=width,
            temporal_stride=temporal_stride,
            pooling=pooling,
            dropout=dropout,
        )

    @classmethod
    def left_open(cls, arguments: Mapping[str, Any]) -> Sequence[str]:
        return (*super().left_open(arguments), "version")
