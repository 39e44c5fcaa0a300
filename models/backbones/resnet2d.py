"""2D ResNets (He et al., CVPR 2016), of torchvision's blocks and with its names; with TAM or TSM if asked for."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from ..layers.temporal import TemporalMixing
from .contract import POOLED, Weights
from .images import ImageNetwork, check_dropout, mix_frames, tam_arguments
from .resnet import IMAGENET_DEPTHS, SHALLOW, STAGES, depth_in, plan

TSM = "tsm"  # the dialect of https://github.com/mit-han-lab/temporal-shift-module where channels are shifted
TSM_WRAPPER = ".conv1.net."  # and how it calls the convolutions before which they are


class ResNet2d(ImageNetwork):
    """A ResNet of images.

    Args:
        depth: 18, 34, 50, 101 or 152.
        width: Factor on every channel count, > 0; 1 is the published network.
        dropout: Before the classifier: none as published, 0.8 RGB and 0.7 flow in two-stream networks, 0.5 with TAM.
        temporal: What each residual branch begins with: "none" sees frames one by one, "tam" blends them, "tsm" shifts
            a part of the channels.
        blend_frames: Frames that TAM blends.
        blend_method: "sum" or "max" of them.
        blend_full: Whether TAM's convolutions see all channels, and not each its own.
        temporal_stride: Whether time steps are pooled before each stage but the first.
        pooling: Of these: "max" or "avg".
        mix_every: Blocks of a stage from one that sees other frames to the next; 2 with 101 layers in published TSM.

    Raises:
        ValueError: If the depth does not exist, the width leaves no channel, or another value cannot be.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {name: (name,) for name in STAGES}
    first_conv, classifier = "conv1", "fc"
    dialects: ClassVar = {
        "two-stream-pytorch": {"fc_action.": "fc."},
        "jeffreyhuang1": {"conv1_custom.": "conv1.", "fc_custom.": "fc."},
        "tsn": {"new_fc.": "fc.", "base_model.classifier.": "fc.", "base_model.": ""},
    }
    dialect_arguments: ClassVar = {
        "jeffreyhuang1": {"flow_order": "rotated"},
        TSM: {"temporal": "tsm"},
        f"{TSM} 2": {"temporal": "tsm", "mix_every": 2},
    }

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        depth: int = 101,
        width: float = 1.0,
        dropout: float = 0.0,
        temporal: str = "none",
        blend_frames: int = 3,
        blend_method: str = "sum",
        blend_full: bool = False,
        temporal_stride: bool = False,
        pooling: str = "max",
        mix_every: int = 1,
    ) -> None:
        from torchvision.models.resnet import BasicBlock, Bottleneck  # a second that other networks need not wait

        super().__init__()
        stages = plan("resnet2d", depth, width, IMAGENET_DEPTHS)
        block = BasicBlock if depth in SHALLOW else Bottleneck
        mixing = TemporalMixing(temporal, blend_frames, blend_method, blend_full, mix_every).check("none", "tam", "tsm")
        channels = stages[0][1]
        self.conv1 = nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.feature_channels = {}
        for stage, (count, wide) in zip(STAGES, stages, strict=True):
            blocks = make_stage(block, channels, wide, count, 1 if stage == "layer1" else 2)
            setattr(self, stage, nn.Sequential(*mixed_blocks(blocks, mixing)))
            channels = self.feature_channels[stage] = wide * block.expansion
        self.feature_channels[POOLED] = channels
        self.dropout = nn.Dropout(check_dropout(dropout))
        self.fc = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if temporal_stride:
            self.pool_time(STAGES[1:], pooling)

    def stem(self, images: Tensor, frames: int) -> Tensor:
        return self.maxpool(self.relu(self.bn1(self.conv1(images))))

    def run_stage(self, stage: str, images: Tensor, frames: int) -> Tensor:
        for block in self.get_submodule(stage).children():
            images = block(images, frames) if isinstance(block, MixedBlock) else block(images)
        return images

    def head(self, images: Tensor) -> Tensor:
        return self.dropout(images.mean((2, 3)))

    @classmethod
    def read_dialect(cls, weights: Weights) -> tuple[str, dict[str, Tensor] | None]:
        dialect, renamed = super().read_dialect(
            {name.replace(TSM_WRAPPER, ".conv1."): x for name, x in weights.items()}
        )
        shifting = {name.partition(TSM_WRAPPER)[0].rpartition(".")[2] for name in weights if TSM_WRAPPER in name}
        if dialect == "tsn" and shifting:
            dialect = TSM if "1" in shifting else f"{TSM} 2"
        return dialect, renamed

    @classmethod
    def imagenet_name(cls, arguments: Mapping[str, Any]) -> str:
        return f"resnet{arguments['depth']}" if arguments["width"] == 1 else ""

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        width = len(weights["conv1.weight"]) / 64
        return {**depth_in(weights, IMAGENET_DEPTHS), "width": width, **tam_arguments(weights, "layer1.0.tam")}

    @classmethod
    def left_open(cls, arguments: Mapping[str, Any]) -> Sequence[str]:
        return ("blend_method", "temporal_stride") if arguments["temporal"] == "tam" else ()


class MixedBlock(nn.Module):
    """A residual block of torchvision's whose branch, and not its shortcut, begins with a layer that sees other frames.

    Args:
        block: Whose parts these are.
        mixing: Which layer; its name, `tam`, is file format.
    """

    relu: nn.Module

    def __init__(self, block: Any, mixing: TemporalMixing) -> None:
        super().__init__()
        for name, module in block.named_children():
            self.add_module(name, module)
        self.tam = mixing.layer(block.conv1.in_channels)
        self.count = sum(name.startswith("conv") for name in self._modules)

    def forward(self, images: Tensor, frames: int) -> Tensor:
        shortcut = self._modules.get("downsample")
        residual = images if shortcut is None else shortcut(images)
        out = self.branch(1, mix_frames(self.tam, images, frames))
        for i in range(2, self.count + 1):
            out = self.branch(i, self.relu(out))
        return self.relu(out + residual)

    def branch(self, i: int, images: Tensor) -> Tensor:
        """Compute the `i`-th convolution of the branch, counted from 1, and its norm."""
        return self.get_submodule(f"bn{i}")(self.get_submodule(f"conv{i}")(images))


def mixed_blocks(blocks: Iterable[nn.Module], mixing: TemporalMixing) -> Iterator[nn.Module]:
    """Yield residual blocks of torchvision's, those that see other frames as `MixedBlock`."""
    for i, block in enumerate(blocks):
        yield block if mixing.kind == "none" or i % mixing.every else MixedBlock(block, mixing)


def make_stage(block: Any, in_channels: int, planes: int, count: int, stride: int) -> list[nn.Module]:
    """Build residual blocks of a class of torchvision's, the first of which has the stride, 1 or 2."""
    out_channels, downsample = planes * block.expansion, None
    if stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
        )
    first = block(in_channels, planes, stride, downsample)
    return [first, *(block(out_channels, planes) for _ in range(count - 1))]
