"""Hidden Two-Stream (Zhu et al., ACCV 2018, https://arxiv.org/abs/1704.00389): frames, their flow, its class."""

from typing import ClassVar

from torch import Tensor

from flow.motionnet import MotionNet
from flow.motionnet.network import whole_flow

from .contract import Backbone
from .images import MOTION
from .layout import FLOW, Layout
from .resnet2d import ResNet2d
from .vgg import VGG

BOUND = 20.0  # pixels: larger flow is cut, as that which a temporal network was trained on
TEMPORAL: dict[str, type[Backbone]] = {"resnet2d": ResNet2d, "vgg": VGG}


class HiddenTwoStream(Backbone):
    """A network of RGB that estimates flow and names the class by it; no flow is read.

    The flow of F frames is cut at 20 pixels, normalised as stored flow is, and stacked for a network of images.

    Args:
        in_channels: 3.
        num_classes: Outputs.
        frames: F; the publication has 11, for ten flows.
        motion_width: Factor on the channels of MotionNet.
        temporal: What classifies the flow: "vgg", as published, or "resnet2d".
        depth: Of it.
        width: Factor on its channels.

    Raises:
        ValueError: If the stream is not RGB, or there is no such network.
    """

    kernel_dims: ClassVar = 2
    first_conv: ClassVar = "motion.encoder.0.0.0"
    learning_rates = {"motion": 1e-3}  # noqa: RUF012 - a run that trains the motion alone replaces it

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
            raise ValueError(f"--model hidden_two_stream reads RGB, not {in_channels} channels: use --modality RGB")
        if temporal not in TEMPORAL:
            raise ValueError(f"--model_args temporal={temporal}: choose one of {', '.join(TEMPORAL)}")
        self.motion = MotionNet(frames, motion_width)
        stack = Layout(flow_stack=frames - 1)
        self.temporal = TEMPORAL[temporal](
            in_channels=stack.channels(FLOW), num_classes=num_classes, depth=depth, width=width
        )
        self.temporal.layout = stack
        self.stages = {n: tuple(f"temporal.{module}" for module in ms) for n, ms in self.temporal.stages.items()}  # type: ignore[misc]
        self.classifier = f"temporal.{self.temporal.classifier}"  # type: ignore[misc]
        self.feature_channels = self.temporal.feature_channels

    @property
    def in_channels(self) -> int:
        return 3

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        flow = whole_flow(self.motion, x).transpose(1, 2)  # N, 2, T - 1, H, W
        levels = flow.clamp(-BOUND, BOUND) * (127.5 / BOUND)  # from 127.5, which stands for no motion
        return self.temporal.forward_features(self.temporal.layout(levels / MOTION[1][0]))
