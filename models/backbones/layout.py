"""Arrangement of the channels and of the segments of clips, as weights want to see them."""

from typing import NamedTuple

from torch import Tensor

FLOW_CHANNELS = 2  # channels of a frame of flow
FLOW_ORDERS = ("interleaved", "rotated")
COLOUR_ORDERS = ("rgb", "bgr")


class ChannelLayout(NamedTuple):
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
        return self.flow_stack if stream == FLOW_CHANNELS else self.frame_stack

    def channels(self, stream: int) -> int:
        """Return the channels of a time step for a stream of so many: 2 is flow."""
        return stream * self.frames(stream)

    def stream(self, channels: int) -> int:
        """Return the channels of a stream whose time steps have so many."""
        return FLOW_CHANNELS if channels == self.channels(FLOW_CHANNELS) else channels // self.frame_stack

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
            what = f"flow in stacks of {stack} pairs" if channels == FLOW_CHANNELS else f"stacks of {stack} frames"
            raise ValueError(f"--sample_duration {length}: the network reads {what}; choose a multiple")
        stacks = clips.unflatten(2, (-1, stack)).permute(0, 3, 1, 2, 4, 5)  # N, L, C, S, H, W
        rotated = channels == FLOW_CHANNELS and self.flow_order == "rotated"
        return (stacks.roll(-1, 1) if rotated else stacks).flatten(1, 2)


AS_THEY_ARE = ChannelLayout()


class Segments(NamedTuple):
    """Parts of a clip that a network sees one by one, and how they are joined.

    Attributes:
        segments: Their number K; (N, C, K L, H, W) is seen as (N K, C, L, H, W).
        consensus: A name in `consensus.CONSENSUS`.
        encoding_size: Values of an encoding where it can be chosen; 0 is the encoder's own.
    """

    segments: int = 1
    consensus: str = "average"
    encoding_size: int = 0


def split_segments(clips: Tensor, segments: int) -> Tensor:
    """Return the segments of clips (N, C, K L, H, W) as clips of their own, (N K, C, L, H, W).

    Raises:
        ValueError: If they are not whole segments.
    """
    if segments == 1:
        return clips
    if clips.shape[2] % segments:
        raise ValueError(
            f"--segments {segments}: the clip has {clips.shape[2]} time steps, which are not whole segments; choose a "
            "multiple for --sample_duration"
        )
    return clips.unflatten(2, (segments, -1)).transpose(1, 2).flatten(0, 1)


def join_segments(maps: Tensor, segments: int) -> Tensor:
    """Return the maps of segments (N K, C, t, h, w) as those of clips, (N, C, K t, h, w)."""
    return maps.unflatten(0, (-1, segments)).transpose(1, 2).flatten(2, 3)


def merge_frames(clips: Tensor) -> Tensor:
    """Return the frames of clips (N, C, T, H, W) as images (N T, C, H, W), for 2D convolutions."""
    return clips.transpose(1, 2).flatten(0, 1)


def split_frames(images: Tensor, frames: int) -> Tensor:
    """Return the maps (N T, C, H, W) of images as those of clips of T frames, (N, C, T, H, W).

    The number of clips is not asked for: an exported network would take it for a constant.
    """
    return images.unflatten(0, (-1, frames)).transpose(1, 2)
