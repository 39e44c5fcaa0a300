"""Arrangement of the channels of clips, as weights want to see them."""

from typing import NamedTuple

from torch import Tensor

FLOW = 2  # channels of a frame of flow
FLOW_ORDERS = ("interleaved", "rotated")
COLOUR_ORDERS = ("rgb", "bgr")


class Layout(NamedTuple):
    """Arrangement of the channels that a network reads, in place of those that clips have.

    Attributes:
        flow_stack: Pairs L of flow that are the channels of one time step, (N, 2, S L, H, W) -> (N, 2 L, S, H, W);
            1 leaves each frame a step.
        flow_order: "interleaved" has x1 y1 x2 y2 ... (Wang et al., TSN); "rotated" the first pair after all others, as
            the published weights of jeffreyhuang1/two-stream-action-recognition.
        colour_order: "bgr" for weights that were made with OpenCV or Caffe.
        frame_stack: As `flow_stack`, for streams of three channels: 5 differences of frames in TSN.
    """

    flow_stack: int = 1
    flow_order: str = "interleaved"
    colour_order: str = "rgb"
    frame_stack: int = 1

    def frames(self, stream: int) -> int:
        """Return the frames of a time step for a stream of so many channels: 2 is flow."""
        return self.flow_stack if stream == FLOW else self.frame_stack

    def channels(self, stream: int) -> int:
        """Return the channels of a time step for a stream of so many: 2 is flow."""
        return stream * self.frames(stream)

    def stream(self, channels: int) -> int:
        """Return the channels of a stream whose time steps have so many."""
        return FLOW if channels == self.channels(FLOW) else channels // self.frame_stack

    def __call__(self, clips: Tensor) -> Tensor:
        """Arrange clips (N, C, T, H, W).

        Raises:
            ValueError: If they are not whole stacks.
        """
        channels, length = clips.shape[1:3]
        if channels == 3 and self.colour_order == "bgr":
            clips = clips.flip(1)
        stack = self.frames(channels)
        if stack == 1:
            return clips
        if length % stack:
            what = f"flow in stacks of {stack} pairs" if channels == FLOW else f"stacks of {stack} frames"
            raise ValueError(f"--sample_duration {length}: the network reads {what}; choose a multiple")
        stacks = clips.unflatten(2, (-1, stack)).permute(0, 3, 1, 2, 4, 5)  # N, L, C, S, H, W
        rotated = channels == FLOW and self.flow_order == "rotated"
        return (stacks.roll(-1, 1) if rotated else stacks).flatten(1, 2)


AS_THEY_ARE = Layout()
