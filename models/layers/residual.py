"""Residual blocks of 3x3x3 convolutions, and the shortcuts that go round them."""

import torch.nn.functional as F
from torch import Tensor, nn

from .pointwise import PointwiseConv3d

SHORTCUTS = ("A", "B")
EXPANSION = 4  # of the channels of a bottleneck


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


class Bottleneck(nn.Module):
    """1x1x1 reduce, 3x3x3, 1x1x1 expand, and a residual connection.

    Returns the sum before the last ReLU, as `BasicBlock` does.
    """

    def __init__(
        self,
        in_channels: int,
        planes: int,
        stride: int,
        *,
        shortcut: str,
        expansion: int = EXPANSION,
        width: int = 0,
        groups: int = 1,
    ) -> None:
        super().__init__()
        mid, out_channels = width or planes, planes * expansion
        self.conv1 = PointwiseConv3d(in_channels, mid, bias=False)
        self.bn1 = nn.BatchNorm3d(mid)
        self.conv2 = nn.Conv3d(mid, mid, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm3d(mid)
        self.conv3 = PointwiseConv3d(mid, out_channels, bias=False)
        self.bn3 = nn.BatchNorm3d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(in_channels, out_channels, stride, shortcut)

    def forward(self, x: Tensor) -> Tensor:
        residual = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x)) + residual
