"""2D weights for 3D networks: inflation (Carreira and Zisserman, I3D, CVPR 2017, https://arxiv.org/abs/1705.07750)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

DIVIDE, REPEAT, CENTRE = INFLATE = ("divide", "repeat", "centre")


class FromImages:
    """The part of the contract of networks that says whose ImageNet weights one begins with; a mixin of `Backbone`."""

    @classmethod
    def imagenet_name(cls, arguments: Mapping[str, Any]) -> str:
        """Return torchvision's name of the image network whose weights fit; "" for none.

        `arguments` are those of the constructor, with their defaults.
        """
        return ""

    def of_images(self, weights: Mapping[str, Tensor], inflate: str) -> dict[str, Tensor]:
        """Return the weights of that image network, given by torchvision's or timm's names, by those of this network.

        Whoever loads them inflates the kernels of images, wherever the network has one over frames. A network of other
        names than its image network translates them here. For each layer that an image network has not, such as a
        convolution along time, it adds what the layer begins with: its own `state_dict`'s or `along_time`. `inflate` is
        one of `INFLATE`.
        """
        return dict(weights)


def inflated(kernel: Tensor, frames: int, inflate: str) -> Tensor:
    """Return a kernel of images as one over so many frames.

    Where a clip does not move, and no zeros pad it in time, "divide" and "centre" give each frame what the image gets.

    Args:
        kernel: Shape (out channels, in channels, h, w).
        frames: Length in time.
        inflate: "divide" repeats the kernel along time and divides it by the length (I3D); "repeat" leaves the sum that
            much larger, as the networks of IBM's action-recognition study; "centre" has it in the middle frame, and
            zeros in the others.

    Returns:
        Shape (out channels, in channels, frames, h, w).
    """
    repeated = kernel[:, :, None].expand(-1, -1, frames, -1, -1)
    if inflate == CENTRE:
        middle = torch.zeros(frames, 1, 1, dtype=kernel.dtype, device=kernel.device)
        middle[frames // 2] = 1
        return repeated * middle
    return repeated / frames if inflate == DIVIDE else repeated.contiguous()


def along_time(weight: Tensor, inflate: str) -> Tensor:
    """Return what a convolution along time begins with, so that it leaves still clips as they are.

    Args:
        weight: Its own, shape (channels, channels / groups, frames, 1, 1).
        inflate: "divide" takes the mean of the frames, "centre" the middle frame, and "repeat" leaves it as it is.
    """
    if inflate == REPEAT:
        return weight
    channels, per_group = weight.shape[:2]
    same = torch.arange(channels) % per_group  # of the channels of its group
    identity = torch.eye(per_group, dtype=weight.dtype, device=weight.device)[same, :, None, None]
    return inflated(identity, weight.shape[2], inflate)


def with_convolutions_of_time(
    weights: Mapping[str, Tensor], target: Mapping[str, Tensor], inflate: str
) -> dict[str, Tensor]:
    """Return weights of images and what layers along time begin with, in networks where `conv_t` and `bn_t` name these.

    Both are by the names of `target`, the network's own weights; biases are 0 unless `inflate` is "repeat".
    """
    named = {name: x for name, x in target.items() if name.split(".")[-2].endswith("_t")}
    started = {name: along_time(x, inflate) for name, x in named.items() if x.dim() == 5}
    biases = {name: torch.zeros_like(x) for name, x in named.items() if name.endswith("conv_t.bias")}
    return {**weights, **named, **started, **(biases if inflate != REPEAT else {})}


def is_of_images(weights: Mapping[str, Tensor]) -> bool:
    """Return whether the convolutions among weights are of images."""
    ranks = {tensor.dim() for tensor in weights.values()}
    return 4 in ranks and 5 not in ranks
