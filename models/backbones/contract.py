"""Contract of the networks, after timm: a network names its parts, and its `ModelSpec` what it wants to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..layers.abstract import BatchNormShapes
from ..layers.pointwise import PointwiseConv3d
from .consensus import Consensus, make_consensus
from .dialect import ByNames
from .inflation import FromImages
from .layout import AS_THEY_ARE, ChannelLayout, Segments, join_segments, split_segments
from .output import POOLED, Output

PREACT = "_preact"  # ends the names of stages before their last ReLU
CONSENSUS = "consensus"  # the module that learns with the classifier
RANKS = {4: torch.channels_last, 5: torch.channels_last_3d}
Weights = Mapping[str, Tensor]


class Backbone(FromImages, ByNames, nn.Module):
    """A network: clips (N, C, T, H, W) in, `Output` out, whether its convolutions are 2D or 3D.

    A subclass states the attributes, takes the keyword arguments `in_channels` (of a frame or a stack: 3 for RGB, 2 for
    flow), `num_classes` (the width of the classifier) and its own, with plain values, and defines `forward_features`.
    Modules are given by their names in the network. `ByNames` says by what names published weights are known, and
    `FromImages` which weights of images it begins with.

    Attributes:
        stages: Names of the stages in forward order -> the modules that learn with each. What is in none of them is
            the stem, which comes before the first.
        has_preact: Whether each stage's map is there before its last ReLU as well, as "<stage>_preact".
        feature_channels: Channels of each entry of `Output.features`, in forward order.
        layout: Applied to the clips.
        learning_rates: Factors on the learning rate of parts of the network, by the name of their module.
        segments: Parts of a clip that the network sees one by one; 1 is the clip as a whole.
        head_logits: Where logits that pass no gradient to the features are kept, see `Distill`; None: nowhere.
        origin: {"name", "args"}: its entry of `MODELS`, and the arguments with which `create_model` builds it again.
    """

    stages: ClassVar[Mapping[str, Sequence[str]]]
    has_preact: ClassVar[bool] = False
    feature_channels: dict[str, int]
    layout: ChannelLayout = AS_THEY_ARE
    learning_rates: Mapping[str, float] = {}
    segments: int = 1
    head_logits: list[Tensor] | None = None
    origin: Mapping[str, Any] = {}

    @property
    def arch(self) -> str:
        """Return the name of the network with its depth, if it has one, like "resnext-101"."""
        name, depth = self.origin["name"], self.origin["args"].get("depth")
        return name if depth is None else f"{name}-{depth}"

    @property
    def consensus(self) -> Consensus | None:
        """Return what joins the segments; None takes their mean, if there are several."""
        return cast("Consensus | None", self._modules.get(CONSENSUS))

    def forward(self, clips: Tensor) -> Output:
        features = self.forward_features(split_segments(self.layout(clips), self.segments))
        if self.head_logits is not None:
            self.head_logits.append(self.classify_features({name: x.detach() for name, x in features.items()}).logits)
        return self.classify_features(features)

    def classify_features(self, features: dict[str, Tensor]) -> Output:
        """Compute the output for features whose maps are of clips and whose `POOLED` is of segments."""
        if self.consensus is not None:
            return self.consensus(features, self.classify)
        if self.segments > 1:
            features[POOLED] = features[POOLED].unflatten(0, (-1, self.segments)).mean(1)
        return Output(self.classify(features[POOLED]), features)

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        """Compute the stages' maps (N, C, T, H, W) and `POOLED`, (N, C), in forward order.

        Each stage reads the map of the one before it, so that the logits have a gradient there: a 2D network merges the
        frames of what it has split, which copies nothing. `merge_segments` does so for segments.
        """
        raise NotImplementedError

    def merge_segments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return a map merged over segments, (N K, C, t, h, w) to (N, C, K t, h, w), and the input of the next stage.

        The first is the feature, and the next stage reads the second, which copies nothing with channels last.
        """
        if self.segments == 1:
            return x, x
        joined = join_segments(x, self.segments)
        return joined, split_segments(joined, self.segments)

    def set_segments(self, segments: Segments) -> None:
        """Set up segments and their consensus, with a fresh classifier where maps are encoded (TLE)."""
        last = [name for name in self.feature_channels if name != POOLED][-1]
        self.segments = segments.segments
        consensus = make_consensus(segments, last, self.feature_channels[last])
        if consensus is None:
            return
        setattr(self, CONSENSUS, consensus)
        if consensus.size:
            self.leave_out_head()
            self.feature_channels[POOLED] = consensus.size
            self.put_classifier(nn.Linear(consensus.size, self.num_classes))

    def leave_out_head(self) -> None:
        """Do without the layers between the last stage and the classifier, for maps are encoded in their place."""

    @property
    def in_channels(self) -> int:
        """Return the channels of a frame of the clips that it takes."""
        return self.channels_of_stream(self.layout, cast(int, self.get_submodule(self.first_conv).in_channels))

    @classmethod
    def channels_of_stream(cls, layout: ChannelLayout, channels: int) -> int:
        """Return the channels of a frame of the stream that a first convolution of so many channels reads."""
        return layout.stream(channels)

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
        self.put_classifier(nn.Linear(self.num_features, num_classes))

    def put_classifier(self, classifier: nn.Module) -> None:
        """Replace the classifier."""
        parent, _, name = self.classifier.rpartition(".")
        setattr(self.get_submodule(parent), name, classifier)

    def is_drawn(self, name: str) -> bool:
        """Return whether a weight stays as it was drawn where weights of images lack it, as one that blends frames."""
        return False

    def stage_of(self, name: str) -> int:
        """Return where a module, parameter or feature belongs: 0 the stem, then the stages, last the classifier."""
        if within(name, self.classifier) or within(name, CONSENSUS):
            return len(self.stages) + 1
        if name == POOLED:
            return len(self.stages)
        stages = enumerate(self.stages.items(), 1)
        return next((i for i, (stage, modules) in stages if name == stage or any(within(name, m) for m in modules)), 0)


def within(name: str, module: str) -> bool:
    """Return whether a dotted name is a module's own or of something in it."""
    return name == module or name.startswith(f"{module}.")


@dataclass(frozen=True)
class InputSpec:
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
    layout: ChannelLayout = AS_THEY_ARE


@dataclass(frozen=True)
class ModelSpec:
    """An entry of `MODELS`.

    Attributes:
        build: The class; called with keyword arguments.
        smallest: Arguments of the smallest form that behaves as the others, for tests and trials.
        input_spec: Clips that it wants to see.
    """

    build: type[Backbone]
    smallest: Mapping[str, Any] = field(default_factory=dict)
    input_spec: InputSpec = InputSpec()

    def clip_shape(self, channels: int) -> tuple[int, int, int, int]:
        """Return the shape (C, T, H, W) of a clip of frames of so many channels, as it wants to see it."""
        frames = self.input_spec.frames * self.input_spec.layout.channels(channels) // channels
        return channels, frames, self.input_spec.size, self.input_spec.size


def channels_last(network: nn.Module) -> None:
    """Bring convolution weights into the memory format that fits their rank, in place.

    A matrix stays as it is: its gradient has the same strides then, as `DistributedDataParallel` wants it.
    """
    for module in network.modules():
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if tensor.dim() in RANKS and not isinstance(module, PointwiseConv3d):
                tensor.data = tensor.data.to(memory_format=RANKS[tensor.dim()])


def without_numbers(network: nn.Module, clip_shape: Sequence[int]) -> Output:
    """Return the output of a network for two clips (C, T, H, W) as tensors without content; nothing in it changes."""
    named = (*network.named_parameters(), *network.named_buffers())
    state = {name: torch.empty_like(value, device="meta") for name, value in named}
    dtype = next((p.dtype for p in network.parameters()), torch.float32)
    with BatchNormShapes(), torch.no_grad():
        return functional_call(network, state, (torch.empty(2, *clip_shape, dtype=dtype, device="meta"),))
