"""S3D-ResNet of IBM's Action Recognition Study (Chen et al., CVPR 2021, https://arxiv.org/abs/2010.11757).

I3D-ResNet whose convolutions of three frames are split in space and time, after S3D (Xie et al., ECCV 2018). Unlike in
R(2+1)D both have as many channels. Names of layers are file format.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from torch import Tensor

from .contract import Weights
from .i3d_resnet import Block, StepwiseResNet
from .inflation import with_convolutions_of_time


class S3DResNet(StepwiseResNet):
    """S3D-ResNet; raises as `StepwiseResNet`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        width: Factor on every channel count, > 0; 1 is the published network.
        temporal_stride: Whether time steps are halved, rounded up, before each stage but the first.
        dw_t_conv: Whether convolutions over time see each channel by itself.
        dropout: Of each time step, before the classifier.
    """

    marks: ClassVar = ("layer1.0.conv2_t.weight",)

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        depth: int = 50,
        width: float = 1.0,
        temporal_stride: bool = True,
        dw_t_conv: bool = False,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(
            "s3d_resnet",
            partial(Block, t_stride=2 if temporal_stride else 1, split=True, depthwise=dw_t_conv),
            in_channels=in_channels,
            num_classes=num_classes,
            depth=depth,
            width=width,
            dropout=dropout,
        )

    def of_images(self, weights: Mapping[str, Tensor], inflate: str) -> dict[str, Tensor]:
        return with_convolutions_of_time(weights, self.state_dict(), inflate)

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        depthwise = weights["layer1.0.conv2_t.weight"].shape[1] == 1
        return super().shown_by(weights, width) | {"dw_t_conv": depthwise}
