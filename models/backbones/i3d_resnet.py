"""I3D-ResNet of IBM's Action Recognition Study (Chen et al., CVPR 2021, https://arxiv.org/abs/2010.11757).

ResNets (He et al., CVPR 2016) whose 3x3 convolutions span three frames, after I3D (Carreira and Zisserman, CVPR 2017).
Unlike in 3D-ResNets the first convolution spans three frames, and time steps are halved before the last three stages
or nowhere. Names of layers are file format.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from ..layers.pointwise import PointwiseConv3d
from ..layers.residual import EXPANSION, make_shortcut
from .contract import Weights
from .images import check_dropout
from .resnet import IMAGENET_DEPTHS, SHALLOW, ResidualTrunk, Stem, plan


class Block(nn.Module):
    """A residual block of two 3x3x3 convolutions, or of one between two 1x1x1 ones; the sum before the last ReLU.

    Args:
        in_channels: Of its input.
        planes: Of its 3x3x3 convolutions.
        stride: Of the first of these, in space.
        bottleneck: Whether there are 1x1x1 ones.
        t_stride: Along time, where the one in space is 2.
        split: Whether each 3x3x3 convolution is a 1x3x3 one and a 3x1x1 one, with a norm and a ReLU between them.
        depthwise: Whether the latter see each channel by itself.
    """

    def __init__(
        self,
        in_channels: int,
        planes: int,
        stride: int,
        *,
        bottleneck: bool,
        t_stride: int = 2,
        split: bool = False,
        depthwise: bool = False,
    ) -> None:
        super().__init__()
        out_channels, t_stride = planes * (EXPANSION if bottleneck else 1), t_stride if stride == 2 else 1
        self.layers: list[str] = []  # names of the convolutions in order, without "conv"
        step, channels = (t_stride, stride), in_channels
        for i, kernel in enumerate((1, 3, 1) if bottleneck else (3, 3), 1):
            wide = out_channels if i == 3 else planes
            if kernel == 1:
                self.add(str(i), PointwiseConv3d(channels, wide, bias=False))
            elif split:
                self.add(str(i), conv3d(channels, wide, (1, 3), (1, step[1])))
                self.add(f"{i}_t", conv3d(wide, wide, (3, 1), (step[0], 1), wide if depthwise else 1))
            else:
                self.add(str(i), conv3d(channels, wide, (3, 3), step))
            step, channels = step if kernel == 1 else (1, 1), wide
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_channels, out_channels, stride, "B", t_stride)

    def add(self, name: str, convolution: nn.Conv3d) -> None:
        """Append a convolution and its norm."""
        self.add_module(f"conv{name}", convolution)
        self.add_module(f"bn{name}", nn.BatchNorm3d(convolution.out_channels))
        self.layers.append(name)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        for name in self.layers:
            x = self.get_submodule(f"bn{name}")(self.get_submodule(f"conv{name}")(x))
            x = x if name == self.layers[-1] else self.relu(x)
        return x + residual


def conv3d(
    in_channels: int, out_channels: int, kernel: tuple[int, int], stride: tuple[int, int], groups: int = 1
) -> nn.Conv3d:
    """Build a padded convolution without bias; `kernel` and `stride` are in time and in space."""
    (frames, side), (t_step, step) = kernel, stride
    padding = (frames // 2, side // 2, side // 2)
    kernels, strides = (frames, side, side), (t_step, step, step)
    return nn.Conv3d(in_channels, out_channels, kernels, strides, padding, groups=groups, bias=False)


class StepwiseResNet(ResidualTrunk):
    """A 3D ResNet with the study's stem, whose classifier sees each time step by itself; the logits are their mean.

    Args:
        model: Its key in `MODELS`, for errors.
        make_block: As of `ResidualTrunk`, with `bottleneck` beside it.
        depth: A key of `IMAGENET_DEPTHS`.
        width: Factor on every channel count.
        dropout: Of each time step, before the classifier.

    Raises:
        ValueError: If the depth does not exist, the width leaves no channel or the dropout cannot be.
    """

    depths: ClassVar = IMAGENET_DEPTHS

    def __init__(
        self,
        model: str,
        make_block: Callable[..., Block],
        *,
        in_channels: int,
        num_classes: int,
        depth: int,
        width: float,
        dropout: float,
    ) -> None:
        blocks, bottleneck = plan(model, depth, width, IMAGENET_DEPTHS), depth not in SHALLOW
        super().__init__(
            partial(make_block, bottleneck=bottleneck),
            expansion=EXPANSION if bottleneck else 1,
            blocks=blocks,
            in_channels=in_channels,
            num_classes=num_classes,
            stem_channels=blocks[0][1],
            stem=Stem(t_size=3, pools_time=False),
        )
        self.dropout = nn.Dropout(check_dropout(dropout))
        initialise_classifier(self.fc)

    def head(self, x: Tensor) -> Tensor:
        return mean_of_steps(x, self.dropout)

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        shown = super().shown_by(weights, width)
        return {name: shown[name] for name in ("depth", "width") if name in shown}

    @classmethod
    def imagenet_name(cls, arguments: Mapping[str, Any]) -> str:
        return f"resnet{arguments['depth']}" if arguments["width"] == 1 else ""

    @classmethod
    def left_open(cls, arguments: Mapping[str, Any]) -> Sequence[str]:
        return ("temporal_stride",)


class I3DResNet(StepwiseResNet):
    """I3D-ResNet; raises as `StepwiseResNet`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        width: Factor on every channel count, > 0; 1 is the published network.
        temporal_stride: Whether time steps are halved, rounded up, before each stage but the first.
        dropout: Of each time step, before the classifier.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        depth: int = 50,
        width: float = 1.0,
        temporal_stride: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(
            "i3d_resnet",
            partial(Block, t_stride=2 if temporal_stride else 1),
            in_channels=in_channels,
            num_classes=num_classes,
            depth=depth,
            width=width,
            dropout=dropout,
        )


def mean_of_steps(x: Tensor, dropout: nn.Module) -> Tensor:
    """Return the mean (N, C) of maps (N, C, T, H, W), of whose time steps each has its own dropout."""
    return dropout(x.mean((3, 4))).mean(2)


def initialise_classifier(classifier: nn.Linear) -> None:
    """Draw the weights of a classifier as the study does for 3D networks."""
    nn.init.normal_(classifier.weight, 0, 0.001)
    nn.init.zeros_(classifier.bias)
