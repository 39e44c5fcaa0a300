"""C3D (Tran et al., ICCV 2015, https://arxiv.org/abs/1412.0767) with batch norms and global average pooling.

That is the student of Distil-2D-3D, whose names of layers are those here; the network of Sports-1M has hidden layers
and no batch norms.

    clip - conv1 - pool /(1,2,2) - conv2 - pool /2 - conv3a,b - pool /2 - conv4a,b - pool /2 - conv5a,b - mean - linear
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.pooling import MaxPool3d
from .arguments import scaled_channels
from .contract import POOLED, PREACT, Backbone, Weights, within

STEM_CHANNELS = 64
STAGES = {"conv2": ("2",), "conv3": ("3a", "3b"), "conv4": ("4a", "4b"), "conv5": ("5a", "5b")}
CHANNELS = (128, 256, 512, 512)


class C3D(Backbone):
    """C3D of eight convolutions, each followed by a batch norm.

    Args:
        width: Factor on every channel count, > 0; 1 is the published network.

    Raises:
        ValueError: If the width leaves no channel.

    Shape:
        Input (N, in_channels, T, H, W), any T, H, W >= 1: a pooling of what is a single frame or pixel leaves it so.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        stage: tuple(f"{kind}{part}" for part in parts for kind in ("conv", "bn")) for stage, parts in STAGES.items()
    }
    first_conv, classifier, has_preact, kernel_dims = "conv1", "linear", True, 3

    def __init__(self, *, in_channels: int, num_classes: int, width: float = 1.0) -> None:
        super().__init__()
        channels, *planes = scaled_channels((STEM_CHANNELS, *CHANNELS), width)
        self.add_layer("1", in_channels, channels)
        self.feature_channels: dict[str, int] = {}
        for (stage, parts), wide in zip(STAGES.items(), planes, strict=True):
            for part in parts:
                self.add_layer(part, channels, wide)
                channels = wide
            self.feature_channels |= {stage + PREACT: channels, stage: channels}
        self.feature_channels[POOLED] = channels
        self.linear = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def add_layer(self, part: str, in_channels: int, out_channels: int) -> None:
        """Add a convolution and its batch norm."""
        self.add_module(f"conv{part}", nn.Conv3d(in_channels, out_channels, 3, padding=1))
        self.add_module(f"bn{part}", nn.BatchNorm3d(out_channels))

    def layer(self, part: str, x: Tensor) -> Tensor:
        """Compute a convolution and its batch norm."""
        return self.get_submodule(f"bn{part}")(self.get_submodule(f"conv{part}")(x))

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        x, features = pool(self.layer("1", x).relu_(), frames=1), dict[str, Tensor]()
        for stage, (*parts, last) in STAGES.items():
            x = x if stage == "conv2" else pool(x, frames=2)
            for part in parts:
                x = self.layer(part, x).relu_()
            features[stage + PREACT], preact = self.merge_segments(self.layer(last, x))
            features[stage], x = self.merge_segments(F.relu(preact))
        return features | {POOLED: x.mean((2, 3, 4))}

    @classmethod
    def read_dialect(cls, weights: Weights) -> tuple[str, dict[str, Tensor] | None]:
        # Beside the names here Distil-2D-3D has a layer that brings features to the size of the teacher's.
        return super().read_dialect({n: x for n, x in weights.items() if not within(n, "adjust_features")})

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        channels = len(weights["conv1.weight"])
        return {"width": width if channels == int(STEM_CHANNELS * width) else channels / STEM_CHANNELS}


def pool(x: Tensor, frames: int) -> Tensor:
    """Return the maxima of so many frames and 2 x 2 pixels, of fewer where there are no more."""
    length, height, width = x.shape[2:]
    size = min(frames, length), min(2, height), min(2, width)
    return MaxPool3d(size)(x)
