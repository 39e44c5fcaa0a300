"""Temporal layers of a network of images: frames are blended or shifted before a layer, or pooled between stages.

TAM: temporal aggregation modules (Fan et al., NeurIPS 2019, https://arxiv.org/abs/1912.00869). TSM: temporal shift
modules (Lin et al., ICCV 2019, https://arxiv.org/abs/1811.08383).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"sum": torch.add, "max": torch.maximum}
NEIGHBOURS = ("prev_se", "curr_se", "next_se")  # names of TAM's layers for three frames are file format
SHIFTED = 8  # of so many channels one is taken from the next frame, and one from the frame before


def from_frame(clips: Tensor, offset: int) -> Tensor:
    """Return the maps of clips (N, C, T, H, W) as many frames later, or earlier if negative; zeros beyond the ends."""
    frames = clips.shape[2]
    away = min(abs(offset), frames)
    if offset < 0:
        return F.pad(clips[:, :, : frames - away], (0, 0, 0, 0, away, 0))
    return F.pad(clips[:, :, away:], (0, 0, 0, 0, 0, away)) if offset else clips


class Blend(nn.Module):
    """TAM: the sum or the maximum of 1x1 convolutions of neighbouring frames, and a ReLU.

    Args:
        channels: Of the maps, kept.
        frames: How many are blended, the middle one of which is the frame itself.
        method: "sum" or "max".
        full: Whether a convolution sees all channels, and not each its own.
    """

    def __init__(self, channels: int, frames: int, method: str, full: bool) -> None:
        super().__init__()
        self.method, self.first = method, -(frames // 2)
        layers = [
            nn.Sequential(OrderedDict(fc1=nn.Conv2d(channels, channels, 1, groups=1 if full else channels, bias=False)))
            for _ in range(frames)
        ]
        if frames == len(NEIGHBOURS):
            for name, layer in zip(NEIGHBOURS, layers, strict=True):
                self.add_module(name, layer)
        else:
            self.blending_layers = nn.ModuleList(layers)

    def layers(self) -> Iterator[nn.Module]:
        """Return the convolutions, that of the earliest frame first."""
        if hasattr(self, "blending_layers"):
            return iter(self.blending_layers)
        return (self.get_submodule(name) for name in NEIGHBOURS)

    def forward(self, clips: Tensor) -> Tensor:
        images, frames = clips.transpose(1, 2).flatten(0, 1), clips.shape[2]
        maps = (layer(images).unflatten(0, (-1, frames)).transpose(1, 2) for layer in self.layers())
        return F.relu(reduce(METHODS[self.method], (from_frame(x, o) for o, x in enumerate(maps, self.first))))


class Shift(nn.Module):
    """TSM: an eighth of the channels is the next frame's, the next eighth that of the frame before."""

    def forward(self, clips: Tensor) -> Tensor:
        part = clips.shape[1] // SHIFTED
        later, earlier = from_frame(clips[:, :part], 1), from_frame(clips[:, part : 2 * part], -1)
        return torch.cat([later, earlier, clips[:, 2 * part :]], 1)


class TemporalMixing(NamedTuple):
    """Choice of what a network of images sees of other frames, before some of its layers.

    Attributes:
        kind: "none", "tam" or "tsm".
        frames: That TAM blends, >= 2.
        method: Of TAM, a key of `METHODS`.
        full: Whether TAM's convolutions see all channels.
        every: Blocks of a stage of a ResNet from one that sees other frames to the next.
    """

    kind: str = "none"
    frames: int = 3
    method: str = "sum"
    full: bool = False
    every: int = 1

    def check(self, *kinds: str) -> "TemporalMixing":
        """Return this, if it is one of the kinds that a network has.

        Raises:
            ValueError: If it is another, or its values cannot be.
        """
        if self.kind not in kinds:
            raise ValueError(f"--model_args temporal={self.kind}: choose one of {', '.join(kinds)}")
        if self.frames < 2:
            raise ValueError(f"--model_args blend_frames={self.frames}: TAM blends at least two frames")
        if self.method not in METHODS:
            raise ValueError(f"--model_args blend_method={self.method}: choose one of {', '.join(METHODS)}")
        if self.every < 1:
            raise ValueError(f"--model_args mix_every={self.every}: must be >= 1")
        return self

    def layer(self, channels: int) -> nn.Module | None:
        """Build the layer for maps of so many channels, clips (N, C, T, H, W) in and out; None if there is none."""
        if self.kind == "tam":
            return Blend(channels, self.frames, self.method, self.full)
        return Shift() if self.kind == "tsm" else None
