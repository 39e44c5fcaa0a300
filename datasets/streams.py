"""Input streams: channels and normalisation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Stream:
    """One input stream.

    Attributes:
        name: Key of the stream in a sample.
        channels: Channels of a frame.
        mean: Per channel, in grey levels 0-255; subtracted on the device.
        std: Per channel, in grey levels; divided by on the device.
    """

    name: str
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


# ActivityNet means and no division, as in the 3D-ResNets release that the published weights come from.
RGB = Stream("rgb", 3, (114.7748, 107.7354, 99.4750), (1.0, 1.0, 1.0))
# Flow bytes are floor((clip(d, -20, 20) + 20) / 40 * 255), d in pixels per frame. No motion is therefore
# stored as 127 and reads as -0.5 once this mean is subtracted.
FLOW = Stream("flow", 2, (127.5, 127.5), (1.0, 1.0))

MODALITIES = {"RGB": (RGB,), "Flow": (FLOW,), "RGB_Flow": (RGB, FLOW)}
