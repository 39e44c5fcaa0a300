"""Video networks of torchvision by name, https://pytorch.org/vision/stable/models.html#video-classification."""

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple, cast

from .contract import ModelSpec
from .images import input_of_images
from .torchvision_kinds import PREFIX, S3D, MViT, Swin3d, TorchvisionNetwork, VideoResNet

KINETICS = "KINETICS400_V1"


class Entry(NamedTuple):
    """A network of torchvision's as it was trained.

    Attributes:
        kind: Its class.
        frames: Of a clip.
        stride: Frames from one of a clip to the next, of a video of 30 frames a second.
        weights: Name of its weights.
    """

    kind: type[TorchvisionNetwork]
    frames: int = 16
    stride: int = 2
    weights: str = KINETICS


ENTRIES = {
    **dict.fromkeys(("r3d_18", "mc3_18", "r2plus1d_18"), Entry(VideoResNet)),
    "s3d": Entry(S3D, frames=128),
    **dict.fromkeys(("mvit_v1_b", "mvit_v2_s"), Entry(MViT, stride=4)),
    **dict.fromkeys(("swin3d_t", "swin3d_s", "swin3d_b"), Entry(Swin3d, frames=32)),
}


@cache
def torchvision_spec(model: str) -> ModelSpec:
    """Return the entry of a video network of torchvision's, like "torchvision:r3d_18".

    Raises:
        ValueError: If it has no such network.
    """
    name = model.removeprefix(PREFIX)
    if name not in ENTRIES:
        raise ValueError(f"--model {model}: of torchvision there are {', '.join(PREFIX + name for name in ENTRIES)}")
    entry, stated = ENTRIES[name], published(model).transforms()
    mean, std = (tuple(255.0 * value for value in values) for values in (stated.mean, stated.std))
    images = input_of_images(mean, std, stated.crop_size[0], frames=entry.frames)
    seen = replace(images, stride=entry.stride, sampling="dense")
    build = type(f"Torchvision_{name}", (entry.kind,), {"name": name, "__doc__": entry.kind.__doc__})
    steady = {"drop_path": 0.0} if issubclass(entry.kind, MViT | Swin3d) else {}
    return ModelSpec(cast(type[TorchvisionNetwork], build), smallest=steady, input_spec=seen)


def published(model: str) -> Any:
    """Return torchvision's description of the weights of Kinetics-400 of a network: address, transforms, categories."""
    from torchvision.models import get_model_weights  # a second that others need not wait

    name = model.removeprefix(PREFIX)
    return cast(Any, get_model_weights(name))[ENTRIES[name].weights]


def kinetics_weights(model: str) -> tuple[str, str]:
    """Return the address of a network's weights on Kinetics-400 and its file name; raises as `torchvision_spec`."""
    torchvision_spec(model)
    address = str(published(model).url)
    return address, address.rpartition("/")[2]
