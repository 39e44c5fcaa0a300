"""S3D (Xie et al., ECCV 2018, https://arxiv.org/abs/1712.04851) of IBM's Action Recognition Study.

I3D whose 3x3x3 convolutions are split in space and time. Unlike in the publication and in torchvision the first
convolution keeps all frames, and the last pooling is not padded. Names of layers are file format.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from .contract import Weights
from .i3d import EPSILON, Inception3d
from .i3d_resnet import conv3d
from .inflation import with_convolutions_of_time


class SplitConv(nn.Module):
    """A 1x3x3 convolution and a 3x1x1 one with a bias, each with norm and ReLU.

    Args:
        in_channels: Of its input.
        out_channels: Of both convolutions.
        depthwise: Whether the second sees each channel by itself.
    """

    def __init__(self, in_channels: int, out_channels: int, *, depthwise: bool) -> None:
        super().__init__()
        self.conv, self.bn = conv3d(in_channels, out_channels, (1, 3), (1, 1)), nn.BatchNorm3d(out_channels, EPSILON)
        groups = out_channels if depthwise else 1
        self.conv_t = nn.Conv3d(out_channels, out_channels, (3, 1, 1), 1, (1, 0, 0), groups=groups)
        self.bn_t, self.relu = nn.BatchNorm3d(out_channels, EPSILON), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn_t(self.conv_t(self.relu(self.bn(self.conv(x))))))


class S3D(Inception3d):
    """S3D; raises as `Inception3d`.

    The last pooling, of 2x2x2, is not padded: without temporal stride its map has a time step less.

    Args:
        width: Factor on every channel count, a multiple of 1/16; 1 is the published network.
        temporal_stride: Whether time steps are halved before each stage.
        pooling: "max" or "avg", of all poolings but those in branches.
        dw_t_conv: Whether convolutions over time see each channel by itself.
        dropout: Of each time step, before the classifier.
    """

    marks: ClassVar = ("inception3a.branch2.1.conv.weight", "inception3a.branch2.1.conv_t.weight")

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        width: float = 1.0,
        temporal_stride: bool = True,
        pooling: str = "max",
        dw_t_conv: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(
            partial(SplitConv, depthwise=dw_t_conv),
            in_channels=in_channels,
            num_classes=num_classes,
            frames=3,
            padded=False,
            width=width,
            temporal_stride=temporal_stride,
            pooling=pooling,
            dropout=dropout,
        )

    def of_images(self, weights: Mapping[str, Tensor], inflate: str) -> dict[str, Tensor]:
        return with_convolutions_of_time(weights, self.state_dict(), inflate)

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        depthwise = weights["conv3.conv_t.weight"].shape[1] == 1
        return super().shown_by(weights, width) | {"dw_t_conv": depthwise}
