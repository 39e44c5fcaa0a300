"""2D ResNets (He et al., CVPR 2016), of torchvision's blocks and with its names."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from .contract import POOLED, Weights
from .images import ImageNetwork, check_dropout

STAGES = ("layer1", "layer2", "layer3", "layer4")
DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
BASIC = (18, 34)  # depths without bottlenecks


class ResNet2d(ImageNetwork):
    """A ResNet of images.

    Args:
        in_channels: Of an image.
        num_classes: Width of the classifier.
        depth: 18, 34, 50, 101 or 152.
        width: Factor on every channel count, > 0; 1 is the published network.
        dropout: Before the classifier: none as published, 0.8 RGB and 0.7 flow in two-stream networks.

    Raises:
        ValueError: If the depth does not exist, the width leaves no channel or the dropout cannot be.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {name: (name,) for name in STAGES}
    first_conv, classifier = "conv1", "fc"
    dialects: ClassVar = {
        "two-stream-pytorch": {"fc_action.": "fc."},
        "jeffreyhuang1": {"conv1_custom.": "conv1.", "fc_custom.": "fc."},
    }
    dialect_arguments: ClassVar = {"jeffreyhuang1": {"flow_order": "rotated"}}

    def __init__(
        self, *, in_channels: int, num_classes: int, depth: int = 101, width: float = 1.0, dropout: float = 0.0
    ) -> None:
        from torchvision.models.resnet import BasicBlock, Bottleneck  # a second that other networks need not wait

        super().__init__()
        if depth not in DEPTHS:
            raise ValueError(f"--model resnet2d has --model_depth {sorted(DEPTHS)}, not {depth}")
        planes = [int(n * width) for n in (64, 128, 256, 512)]
        if planes[0] < 1:
            raise ValueError(f"--width {width} leaves no channel: use at least {1 / 64}")
        block = BasicBlock if depth in BASIC else Bottleneck
        self.conv1 = nn.Conv2d(in_channels, planes[0], 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(planes[0]), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.feature_channels = {}
        channels = planes[0]
        for stage, count, wide in zip(STAGES, DEPTHS[depth], planes, strict=True):
            setattr(self, stage, make_stage(block, channels, wide, count, 1 if stage == "layer1" else 2))
            channels = self.feature_channels[stage] = wide * block.expansion
        self.feature_channels[POOLED] = channels
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stem(self, images: Tensor) -> Tensor:
        return self.maxpool(self.relu(self.bn1(self.conv1(images))))

    def run_stage(self, stage: str, images: Tensor) -> Tensor:
        return self.get_submodule(stage)(images)

    def head(self, images: Tensor) -> Tensor:
        return self.dropout(images.mean((2, 3)))

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        parts = {tuple(name.split(".")[:2]) for name in weights if name.startswith("layer")}
        counts = tuple(sum(stage == part[0] for part in parts) for stage in STAGES)
        basic = "layer1.0.conv3.weight" not in weights
        depths = [depth for depth, blocks in DEPTHS.items() if blocks == counts and (depth in BASIC) == basic]
        return {**({"depth": depths[0]} if depths else {}), "width": len(weights["conv1.weight"]) / 64}


def make_stage(block: Any, in_channels: int, planes: int, count: int, stride: int) -> nn.Sequential:
    """Build residual blocks of torchvision's, the first of which has the stride.

    Args:
        block: Its class.
        in_channels: Of the map before the stage.
        planes: Channels of its 3x3 convolutions.
        count: Number of blocks.
        stride: 1 or 2.
    """
    out_channels, downsample = planes * block.expansion, None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
        )
    first = block(in_channels, planes, stride, downsample)
    return nn.Sequential(first, *(block(out_channels, planes) for _ in range(count - 1)))
