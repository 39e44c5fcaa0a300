"""Image networks of timm inflated to networks of clips, as I3D (Carreira and Zisserman, CVPR 2017), by name.

Convolutions of more than a pixel see several frames; all else of timm's network sees the frames as images. There are as
many frames after each stage as before it.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any, ClassVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from .contract import ModelSpec
from .inflation import DIVIDE, inflated
from .layout import merge_frames, split_frames
from .timm_networks import PREFIX, TimmNetwork, library, timm_spec

INFLATED = "inflated:"
FRAMES, STRIDE = 16, 2  # of a clip, where nobody says otherwise


class ClipConv(nn.Conv3d):
    """A convolution of images over several frames, which reads and gives the frames of clips as images.

    Beyond its ends a clip goes on as it is there, so that one that does not move gets what an image would.

    Args:
        conv: Gives sizes and the kind of padding.
        frames: Length of the kernel, odd.
    """

    def __init__(self, conv: nn.Conv2d, frames: int) -> None:
        flat: Any = {"kernel_size": conv.kernel_size, "stride": conv.stride, "dilation": conv.dilation}
        longer: Any = {name: (1, *sides) for name, sides in flat.items()} | {"kernel_size": (frames, *conv.kernel_size)}
        padding: Any = (0, *conv.padding)
        bias = conv.bias is not None
        super().__init__(conv.in_channels, conv.out_channels, padding=padding, groups=conv.groups, bias=bias, **longer)
        self.weight, self.bias = nn.Parameter(inflated(conv.weight.detach(), frames, DIVIDE)), conv.bias
        self.of_clip = 1  # frames, as `InflatedNetwork` says before each pass
        same = type(conv) is library().layers.Conv2dSame  # whose padding depends on the size of the image
        self.pad = partial(library().layers.pad_same, **flat) if same else None

    def forward(self, images: Tensor) -> Tensor:
        if self.pad is not None:
            images = self.pad(images)
        beyond = self.kernel_size[0] // 2
        clips = F.pad(split_frames(images, self.of_clip), (0, 0, 0, 0, beyond, beyond), mode="replicate")
        return merge_frames(super().forward(clips))


class InflatedNetwork(TimmNetwork):
    """A network of timm whose convolutions of more than a pixel span several frames; a subclass of a name states which.

    Args:
        dropout: Before the classifier, as timm places it.
        drop_path: Of timm's `drop_path_rate`, where the network has it.
        t_size: Frames that a convolution spans, odd.

    Raises:
        ValueError: If there is no such argument, or a value cannot be.
    """

    kernel_dims: ClassVar = 3

    def __init__(
        self, *, in_channels: int, num_classes: int, dropout: float = 0.0, drop_path: float = 0.0, t_size: int = 3
    ) -> None:
        if t_size < 1 or t_size % 2 == 0:
            raise ValueError(f"--model_args t_size={t_size}: must be odd, so that there is a middle frame")
        super().__init__(in_channels=in_channels, num_classes=num_classes, dropout=dropout, drop_path=drop_path)
        for name, conv in list(self.body.named_modules()):
            if is_inflatable(conv):
                self.body.set_submodule(name, ClipConv(conv, t_size))

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        for conv in self.body.modules():
            if isinstance(conv, ClipConv) and conv.of_clip != x.shape[2]:
                conv.of_clip = x.shape[2]
        return super().forward_features(x)

    def of_images(self, weights: Mapping[str, Tensor], inflate: str) -> dict[str, Tensor]:
        return self.in_dialect(weights) or dict(weights)


def is_inflatable(module: nn.Module) -> bool:
    """Return whether a module is a plain convolution of more than a pixel."""
    plain = type(module) in (nn.Conv2d, library().layers.Conv2dSame)
    return plain and max(cast(nn.Conv2d, module).kernel_size) > 1


@cache
def inflated_spec(model: str) -> ModelSpec:
    """Return the entry of an inflated network, like "inflated:timm:resnet18"; raises as `timm_spec`."""
    name = model.removeprefix(INFLATED)
    if not name.startswith(PREFIX):
        raise ValueError(f"--model {model}: of timm's networks any can be inflated, as {INFLATED}{PREFIX}resnet18")
    spec = timm_spec(name)
    flat = cast(Any, spec.build)
    build = type("Inflated_" + flat.__name__, (InflatedNetwork, flat), {"__doc__": InflatedNetwork.__doc__})
    seen = replace(spec.input_spec, frames=FRAMES, stride=STRIDE, sampling="dense")
    return ModelSpec(cast(type[InflatedNetwork], build), input_spec=seen)
