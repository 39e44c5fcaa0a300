"""Hidden Two-Stream (Zhu et al., ACCV 2018, https://arxiv.org/abs/1704.00389): frames, their flow, its class."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sts_common.motionnet import MotionNet
from sts_common.motionnet.network import whole_flow

from .consensus import Segments
from .contract import Backbone
from .images import MOTION, ImageNetwork
from .layout import FLOW_CHANNELS, ChannelLayout
from .resnet2d import ResNet2d
from .vgg import VGG

BOUND = 20.0  # pixels: larger flow is cut, as that which a temporal network was trained on
# What classifies the estimated flow, and the dropout that it is trained with (Wang et al., 2015).
TEMPORAL: dict[str, tuple[type[ImageNetwork], Any]] = {"vgg": (VGG, (0.9, 0.8)), "resnet2d": (ResNet2d, 0.7)}


class HiddenTwoStream(Backbone):
    """A network of RGB that estimates flow and names the class by it; no flow is read.

    The flow of F frames is cut at 20 pixels, normalised as stored flow is, and stacked for a network of images.

    Args:
        frames: F; the publication has 11, for ten flows.
        motion_width: Factor on the channels of MotionNet.
        temporal: What classifies the flow: "vgg", as published, or "resnet2d".
        depth: Of it.
        width: Factor on its channels.

    Raises:
        ValueError: If the stream is not RGB, or there is no such network.
    """

    stages: Mapping[str, Sequence[str]] = {}  # type: ignore[misc]
    first_conv, classifier = "motion.encoder.0.0.0", "fc"
    learning_rates: Mapping[str, float]

    def __init__(
        self,
        *,
        in_channels: int,
        num_classes: int,
        frames: int = 11,
        motion_width: float = 1.0,
        temporal: str = "vgg",
        depth: int = 16,
        width: float = 1.0,
    ) -> None:
        super().__init__()
        if in_channels != 3:
            raise ValueError("--model hidden_two_stream reads RGB and estimates flow: use --modality RGB")
        if temporal not in TEMPORAL:
            raise ValueError(f"--model_args temporal={temporal}: choose one of {', '.join(TEMPORAL)}")
        self.motion, stack = MotionNet(frames, motion_width), ChannelLayout(flow_stack=frames - 1)
        build, dropout = TEMPORAL[temporal]
        channels = stack.channels(FLOW_CHANNELS)
        self.temporal = build(in_channels=channels, num_classes=num_classes, depth=depth, width=width, dropout=dropout)
        self.fc = self.temporal.get_classifier()
        self.temporal.put_classifier(nn.Identity())
        self.temporal.layout = stack
        self.stages = dict.fromkeys(self.temporal.stages, ())  # see `stage_of`
        self.feature_channels = self.temporal.feature_channels
        self.learning_rates = {"motion": 1e-3}

    @classmethod
    def channels_of_stream(cls, layout: ChannelLayout, channels: int) -> int:
        return 3

    def stage_of(self, name: str) -> int:
        """Return where a module, parameter or feature belongs; the estimation of motion is the stem."""
        part, _, rest = name.partition(".")
        return self.temporal.stage_of(rest) if part == "temporal" and rest else super().stage_of(name)

    def set_segments(self, segments: Segments) -> None:
        super().set_segments(segments)
        self.temporal.segments = segments.segments  # which joins the maps of its stages

    def leave_out_head(self) -> None:
        self.temporal.leave_out_head()

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        if x.shape[2] == 1:  # a frame that stands still
            x = x.expand(-1, -1, 2, -1, -1)
        flow = whole_flow(self.motion, x).transpose(1, 2)  # N, 2, T - 1, H, W
        if missing := -flow.shape[2] % self.temporal.layout.flow_stack:  # the last flow goes on, to whole stacks
            flow = torch.cat((flow, flow[:, :, -1:].expand(-1, -1, missing, -1, -1)), 2)
        levels = flow.clamp(-BOUND, BOUND) * (127.5 / BOUND)  # from 127.5, which stands for no motion
        return self.temporal.forward_features(self.temporal.layout(levels / MOTION[1][0]))
