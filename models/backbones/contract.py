"""Contract of the networks, after timm: a network names its parts, and its `ModelSpec` what it wants to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .output import Output

FLOW = 2  # channels of a frame of flow
POOLED = "avgpool"  # the feature that the classifier reads
PREACT = "_preact"  # ends the names of stages before their last ReLU
FLOW_ORDERS = ("interleaved", "rotated")
COLOUR_ORDERS = ("rgb", "bgr")
RANKS = {4: torch.channels_last, 5: torch.channels_last_3d}
Weights = Mapping[str, Tensor]


class Layout(NamedTuple):
    """Arrangement of the channels that a network reads, in place of those that clips have.

    Attributes:
        flow_stack: Pairs L of flow that are the channels of one time step, (N, 2, S L, H, W) -> (N, 2 L, S, H, W);
            1 leaves each frame a step.
        flow_order: "interleaved" has x1 y1 x2 y2 ... (Wang et al., TSN); "rotated" the first pair after all others, as
            the published weights of jeffreyhuang1/two-stream-action-recognition.
        colour_order: "bgr" for weights that were made with OpenCV or Caffe.
    """

    flow_stack: int = 1
    flow_order: str = "interleaved"
    colour_order: str = "rgb"

    def channels(self, stream: int) -> int:
        """Return the channels of a time step for a stream of so many: 2 is flow."""
        return stream * self.flow_stack if stream == FLOW else stream

    def __call__(self, clips: Tensor) -> Tensor:
        """Arrange clips (N, C, T, H, W).

        Raises:
            ValueError: If flow has not whole stacks.
        """
        if clips.shape[1] == 3 and self.colour_order == "bgr":
            return clips.flip(1)
        if clips.shape[1] != FLOW or self.flow_stack == 1:
            return clips
        if clips.shape[2] % self.flow_stack:
            raise ValueError(
                f"--sample_duration {clips.shape[2]}: the network reads flow in stacks of {self.flow_stack} pairs; "
                "choose a multiple"
            )
        pairs = clips.unflatten(2, (-1, self.flow_stack)).permute(0, 3, 1, 2, 4, 5)  # N, L, xy, S, H, W
        return (pairs.roll(-1, 1) if self.flow_order == "rotated" else pairs).flatten(1, 2)


AS_THEY_ARE = Layout()


class Backbone(nn.Module):
    """A network: clips (N, C, T, H, W) in, `Output` out, whether its convolutions are 2D or 3D.

    A subclass states the attributes, takes the keyword arguments `in_channels`, `num_classes` and its own, with plain
    values, and defines `forward_features`. Modules are given by their names in the network.

    Attributes:
        stages: Names of the stages in forward order -> the modules that learn with each. What is in none of them is
            the stem, which comes before the first.
        first_conv: The first convolution.
        classifier: The linear layer that gives the logits of `POOLED`.
        has_preact: Whether each stage's map is there before its last ReLU as well, as "<stage>_preact".
        dialects: Published forms of the weights' names: {what they are called: {beginning of a name: in its place}}.
        feature_channels: Channels of each entry of `Output.features`, in forward order.
        layout: Applied to the clips.
        learning_rates: Factors on the learning rate of parts of the network, by the name of their module.
        origin: {"name", "args"}: its entry of `MODELS`, and the arguments with which `create_model` builds it again.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]]
    first_conv: ClassVar[str]
    classifier: ClassVar[str]
    has_preact: ClassVar[bool] = False
    dialects: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    feature_channels: dict[str, int]
    layout: Layout = AS_THEY_ARE
    learning_rates: Mapping[str, float] = {}
    origin: Mapping[str, Any] = {}

    @property
    def arch(self) -> str:
        """Return the name of the network with its depth, if it has one, like "resnext-101"."""
        name, depth = self.origin["name"], self.origin["args"].get("depth")
        return name if depth is None else f"{name}-{depth}"

    def forward(self, clips: Tensor) -> Output:
        features = self.forward_features(self.layout(clips))
        return Output(self.classify(features[POOLED]), features)

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the stages' maps (N, C, T, H, W) and `POOLED`, (N, C), in forward order.

        Each stage reads the map of the one before it, so that the logits have a gradient there: a 2D network merges the
        frames of what it has split, which copies nothing.
        """
        raise NotImplementedError

    @property
    def in_channels(self) -> int:
        """Return the channels of a frame of the clips that it takes."""
        channels = cast(int, self.get_submodule(self.first_conv).in_channels)
        return FLOW if channels == self.layout.channels(FLOW) else channels

    def get_classifier(self) -> nn.Linear:
        """Return the linear layer that gives the logits."""
        return cast(nn.Linear, self.get_submodule(self.classifier))

    @property
    def num_features(self) -> int:
        """Return the channels of the pooled features."""
        return self.get_classifier().in_features

    @property
    def num_classes(self) -> int:
        """Return the outputs of the classifier."""
        return self.get_classifier().out_features

    def classify(self, pooled: Tensor) -> Tensor:
        """Compute the logits (N, K) of pooled features (N, C)."""
        return self.get_classifier()(pooled)

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a freshly initialised one."""
        parent, _, name = self.classifier.rpartition(".")
        setattr(self.get_submodule(parent), name, nn.Linear(self.num_features, num_classes))

    def stage_of(self, name: str) -> int:
        """Return where a module, parameter or feature belongs: 0 the stem, then the stages, last the classifier."""
        if within(name, self.classifier):
            return len(self.stages) + 1
        if name == POOLED:
            return len(self.stages)
        stages = enumerate(self.stages.items(), 1)
        return next((i for i, (stage, own) in stages if name == stage or any(within(name, m) for m in own)), 0)

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        """Return the arguments that weights, by their own names, show; `width` is taken where it fits them."""
        return {}

    @classmethod
    def in_dialect(cls, weights: Weights) -> dict[str, Tensor] | None:
        """Return weights of any of the dialects by their own names; None if they are those of another network."""
        needed = {f"{cls.first_conv}.weight", f"{cls.classifier}.weight"}
        for renamings in ({}, *cls.dialects.values()):
            named = {renamed(name, renamings): tensor for name, tensor in weights.items()}
            if needed <= named.keys():
                return named
        return None


def renamed(name: str, renamings: Mapping[str, str]) -> str:
    """Return a name whose beginning is put in other words."""
    known = ((begin, words) for begin, words in renamings.items() if name.startswith(begin))
    return next((words + name.removeprefix(begin) for begin, words in known), name)


def within(name: str, module: str) -> bool:
    """Return whether a dotted name is a module's own or of something in it."""
    return name == module or name.startswith(f"{module}.")


@dataclass(frozen=True)
class View:
    """Clips that a network wants to see, where neither options nor a checkpoint say otherwise.

    Attributes:
        frames: Time steps per clip; of stacked flow each is `layout.flow_stack` frames.
        size: Side, pixels.
        stride: Frames from one to the next.
        sampling: "dense" takes successive frames, "segments" one of each part of the video.
        mean: By stream, per channel in grey levels 0-255, red first; where it names none, it is the stream's own.
        std: Likewise.
        layout: Of the channels.
    """

    frames: int = 16
    size: int = 112
    stride: int = 1
    sampling: str = "dense"
    mean: Mapping[str, Sequence[float]] = field(default_factory=dict)
    std: Mapping[str, Sequence[float]] = field(default_factory=dict)
    layout: Layout = AS_THEY_ARE


@dataclass(frozen=True)
class ModelSpec:
    """An entry of `MODELS`.

    Attributes:
        build: The class; called with keyword arguments.
        smallest: Arguments of the smallest form that behaves as the others, for tests and trials.
        view: What it wants to see.
    """

    build: type[Backbone]
    smallest: Mapping[str, Any] = field(default_factory=dict)
    view: View = View()

    def clip_shape(self, channels: int) -> tuple[int, int, int, int]:
        """Return the shape (C, T, H, W) of a clip of frames of so many channels, as it wants to see it."""
        frames = self.view.frames * (self.view.layout.flow_stack if channels == FLOW else 1)
        return channels, frames, self.view.size, self.view.size


def channels_last(network: nn.Module) -> None:
    """Bring convolution weights into the memory format that fits their rank, in place."""
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() in RANKS:
            tensor.data = tensor.data.to(memory_format=RANKS[tensor.dim()])


def merge_frames(clips: Tensor) -> Tensor:
    """Return the frames of clips (N, C, T, H, W) as images (N T, C, H, W), for 2D convolutions."""
    return clips.transpose(1, 2).flatten(0, 1)


def split_frames(images: Tensor, frames: int) -> Tensor:
    """Return the maps (N T, C, H, W) of images as those of clips of T frames, (N, C, T, H, W).

    The number of clips is not asked for: an exported network would take it for a constant.
    """
    return images.unflatten(0, (-1, frames)).transpose(1, 2)


def without_numbers(network: nn.Module, clip_shape: Sequence[int]) -> Output:
    """Return the output of a network for two clips as tensors that have shapes and no content; nothing in it changes.

    Args:
        network: In the mode as it is.
        clip_shape: (C, T, H, W).
    """
    named = (*network.named_parameters(), *network.named_buffers())
    state = {name: torch.empty_like(value, device="meta") for name, value in named}
    dtype = next((p.dtype for p in network.parameters()), torch.float32)
    with torch.no_grad():
        return functional_call(network, state, (torch.empty(2, *clip_shape, dtype=dtype, device="meta"),))
