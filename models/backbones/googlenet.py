"""GoogLeNet (Szegedy et al., CVPR 2015) with batch norms, of torchvision; with TAM in it if asked for.

torchvision has no BN-Inception (Ioffe and Szegedy, ICML 2015), the network of TSN; this is the nearest that it has.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from ..layers.temporal import TemporalMixing
from .contract import POOLED, Weights
from .images import ImageNetwork, check_dropout, mix_frames, tam_arguments

STEM_CONVOLUTIONS = ("conv1", "conv2", "conv3")
STEM = (64, 64, 192)  # channels of these
# By unit, channels of the 1x1 convolution, of the second branch and the third before and at their 3x3 convolution, and
# of the branch that pools.
UNITS = {
    "inception3a": (64, 96, 128, 16, 32, 32),
    "inception3b": (128, 128, 192, 32, 96, 64),
    "inception4a": (192, 96, 208, 16, 48, 64),
    "inception4b": (160, 112, 224, 24, 64, 64),
    "inception4c": (128, 128, 256, 24, 64, 64),
    "inception4d": (112, 144, 288, 32, 64, 64),
    "inception4e": (256, 160, 320, 32, 128, 128),
    "inception5a": (256, 160, 320, 32, 128, 128),
    "inception5b": (384, 192, 384, 48, 128, 128),
}
STAGES = {
    stage: tuple(name for name in UNITS if name.startswith(stage))
    for stage in ("inception3", "inception4", "inception5")
}
POOLS = {"inception4": "maxpool3", "inception5": "maxpool4"}  # before a stage
# TAM by what it follows; the names are file format.
TAMS = {name: f"tam{name.removeprefix('conv').removeprefix('inception')}" for name in (*STEM_CONVOLUTIONS, *UNITS)}


def scaled(planes: Sequence[int], width: float) -> list[int]:
    """Return channels times a factor.

    Raises:
        ValueError: If it is no multiple of 1/16, by which the maps of branches are whole channels.
    """
    if width <= 0 or 16 * width != int(16 * width):
        raise ValueError(f"--width {width}: Inception networks have multiples of {1 / 16}")
    return [int(n * width) for n in planes]


def unit_channels(unit: Sequence[int]) -> int:
    """Return the channels of a unit's map."""
    first, _, second, _, third, pooled = unit
    return first + second + third + pooled


class GoogLeNet(ImageNetwork):
    """torchvision's GoogLeNet without the auxiliary classifiers.

    Its ImageNet weights want inputs from -1 to 1, which is the `InputSpec` of the entry.

    Args:
        dropout: Before the classifier: 0.2 as published, 0.8 RGB and 0.7 flow in TSN, 0.5 with TAM.
        width: Factor on every channel count, a multiple of 1/16; 1 is the published network.
        temporal: "tam" blends frames after each convolution of the stem and each unit, "none" sees them one by one.
        blend_frames: Frames that TAM blends.
        blend_method: "sum" or "max" of them.
        blend_full: Whether TAM's convolutions see all channels, and not each its own.
        temporal_stride: Whether time steps are pooled before each stage.
        pooling: Of these: "max" or "avg".

    Raises:
        ValueError: If a value cannot be.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = {
        stage: (*units, *(TAMS[unit] for unit in units)) for stage, units in STAGES.items()
    }
    first_conv, classifier, least_side = "conv1.conv", "fc", 15

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        dropout: float = 0.2,
        width: float = 1.0,
        temporal: str = "none",
        blend_frames: int = 3,
        blend_method: str = "sum",
        blend_full: bool = False,
        temporal_stride: bool = False,
        pooling: str = "max",
    ) -> None:
        from torchvision.models.googlenet import GoogLeNet as Published  # a second that others need not wait

        super().__init__()
        mixing = TemporalMixing(temporal, blend_frames, blend_method, blend_full).check("none", "tam")
        published = Published(*(num_classes, False, False, False, scaled_blocks(width)), dropout=check_dropout(dropout))
        for name, module in published.named_children():
            self.add_module(name, module)
        channels = scaled([*STEM, *map(unit_channels, UNITS.values())], width)
        if in_channels != 3:
            self.get_submodule("conv1").add_module("conv", nn.Conv2d(in_channels, channels[0], 7, 2, 3, bias=False))
        if width != 1:
            self.fc = nn.Linear(channels[-1], num_classes)
        for name, wide in zip(TAMS.values(), channels, strict=True):
            self.add_module(name, mixing.layer(wide))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        of = dict(zip((*STEM_CONVOLUTIONS, *UNITS), channels, strict=True))
        self.feature_channels = {stage: of[units[-1]] for stage, units in STAGES.items()} | {POOLED: channels[-1]}
        if temporal_stride:
            self.pool_time(tuple(STAGES), pooling)

    def run_layers(self, names: Sequence[str], images: Tensor, frames: int) -> Tensor:
        """Compute layers one after the other, each with its TAM, if it has one."""
        for name in names:
            images = mix_frames(self._modules.get(TAMS.get(name, "")), self.get_submodule(name)(images), frames)
        return images

    def stem(self, images: Tensor, frames: int) -> Tensor:
        return self.run_layers(("conv1", "maxpool1", "conv2", "conv3", "maxpool2"), images, frames)

    def before(self, stage: str, images: Tensor) -> Tensor:
        return self.get_submodule(POOLS[stage])(images) if stage in POOLS else images

    def run_stage(self, stage: str, images: Tensor, frames: int) -> Tensor:
        return self.run_layers(STAGES[stage], images, frames)

    def head(self, images: Tensor) -> Tensor:
        return self.get_submodule("dropout")(images.mean((2, 3)))

    @classmethod
    def imagenet_name(cls, arguments: Mapping[str, Any]) -> str:
        return "googlenet" if arguments["width"] == 1 else ""

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        return {"width": len(weights["conv1.conv.weight"]) / STEM[0], **tam_arguments(weights, "tam1")}

    @classmethod
    def left_open(cls, arguments: Mapping[str, Any]) -> Sequence[str]:
        return ("blend_method", "temporal_stride") if arguments["temporal"] == "tam" else ()


def scaled_blocks(width: float) -> list[Callable[..., nn.Module]]:
    """Return torchvision's convolution, unit and auxiliary classifier with a factor on the channels; as `scaled`."""
    from torchvision.models.googlenet import BasicConv2d, Inception, InceptionAux

    def convolution(in_channels: int, out_channels: int, **sizes: int) -> nn.Module:
        before = in_channels if in_channels == 3 else scaled([in_channels], width)[0]  # colours
        return BasicConv2d(before, *scaled([out_channels], width), **sizes)

    return [convolution, lambda *planes: Inception(*scaled(planes, width)), InceptionAux]
