"""VGG (Simonyan and Zisserman, ICLR 2015), with torchvision's layers."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from ..layers.pooling import grid_means
from .arguments import scaled_channels
from .contract import POOLED, Weights
from .images import ImageNetwork, check_dropout

STAGES = ("block1", "block2", "block3", "block4", "block5")
CHANNELS = (64, 128, 256, 512, 512)
GRID, HIDDEN = 7, 4096
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}  # by block


class VGG(ImageNetwork):
    """A VGG of images; the first convolution is the stem, and a stage ends with its pooling.

    Args:
        depth: 11, 13, 16 or 19.
        batch_norm: Whether a batch norm follows each convolution.
        width: Factor on every channel count, > 0; 1 is the published network.
        dropout: After each of the two hidden layers: 0.5, 0.5 as published; 0.9, 0.9 for RGB and 0.9, 0.8 for flow in
            very deep two-stream networks.

    Raises:
        ValueError: If the depth does not exist, the width leaves no channel or the dropout cannot be.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]] = dict.fromkeys(STAGES, ())  # see `stage_of`
    first_conv, classifier, least_side = "features.0", "fc.6", 32
    dialects: ClassVar = {
        "torchvision": {"classifier.": "fc."},
        "two-stream-pytorch": {"classifier.": "fc.", "fc_action.": "fc.6."},
    }

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        depth: int = 16,
        batch_norm: bool = False,
        width: float = 1.0,
        dropout: tuple[float, ...] = (0.5, 0.5),
    ) -> None:
        super().__init__()
        if depth not in CONVOLUTIONS:
            raise ValueError(f"--model vgg has --model_depth {sorted(CONVOLUTIONS)}, not {depth}")
        planes, hidden = scaled_channels(CHANNELS, width), int(HIDDEN * width)
        if len(dropout) != 2:
            raise ValueError("--model_args dropout: vgg has two hidden layers, so there are two values, like 0.9,0.8")
        first, second = (nn.Dropout(check_dropout(value)) for value in dropout)
        self.features, self.ends = make_layers(in_channels, planes, CONVOLUTIONS[depth], batch_norm)
        self.fc = nn.Sequential(
            *(nn.Linear(planes[-1] * GRID * GRID, hidden), nn.ReLU(inplace=True), first),
            *(nn.Linear(hidden, hidden), nn.ReLU(inplace=True), second),
            nn.Linear(hidden, num_classes),
        )
        self.feature_channels = dict(zip(STAGES, planes, strict=True)) | {POOLED: hidden}
        self.apply(initialise)

    def stage_of(self, name: str) -> int:
        """Return where a module, parameter or feature belongs; the hidden layers learn with the last block."""
        part, _, rest = name.partition(".")
        if part == "features" and rest:
            return sum(int(rest.partition(".")[0]) >= end for end in self.ends[:-1])
        return len(STAGES) if part == "fc" and not name.startswith(self.classifier) else super().stage_of(name)

    def stem(self, images: Tensor, frames: int) -> Tensor:
        return self.features[: self.ends[0]](images)

    def run_stage(self, stage: str, images: Tensor, frames: int) -> Tensor:
        index = STAGES.index(stage)
        return self.features[self.ends[index] : self.ends[index + 1]](images)

    def head(self, images: Tensor) -> Tensor:
        return self.fc[:-1](grid_means(images[:, :, None], (1, GRID, GRID)).flatten(1))

    def leave_out_head(self) -> None:
        self.fc[0], self.fc[3] = nn.Identity(), nn.Identity()

    @classmethod
    def imagenet_name(cls, arguments: Mapping[str, Any]) -> str:
        norms = "_bn" if arguments["batch_norm"] else ""
        return f"vgg{arguments['depth']}{norms}" if arguments["width"] == 1 else ""

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        count = sum(name.startswith("features.") and tensor.dim() == 4 for name, tensor in weights.items())
        depths = {sum(blocks): depth for depth, blocks in CONVOLUTIONS.items()}
        shown = {"depth": depths[count]} if count in depths else {}
        first = weights["features.0.weight"]
        return {**shown, "batch_norm": "features.1.running_mean" in weights, "width": len(first) / CHANNELS[0]}


def make_layers(
    in_channels: int, planes: Sequence[int], counts: Sequence[int], batch_norm: bool
) -> tuple[nn.Sequential, list[int]]:
    """Build the convolutions and poolings; return them and where the first convolution and each block end in them."""
    layers: list[nn.Module] = []
    ends: list[int] = []
    channels = in_channels
    for wide, count in zip(planes, counts, strict=True):
        for _ in range(count):
            norms = [nn.BatchNorm2d(wide)] if batch_norm else []
            layers += [nn.Conv2d(channels, wide, 3, padding=1), *norms, nn.ReLU(inplace=True)]
            channels = wide
            ends = ends or [len(layers)]
        layers.append(nn.MaxPool2d(2))
        ends.append(len(layers))
    return nn.Sequential(*layers), ends


def initialise(module: nn.Module) -> None:
    """Draw the weights of a layer as torchvision does."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
