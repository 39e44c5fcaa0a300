"""Input of the network of a checkpoint: its stream, and the size at which it is read."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from datasets import STREAMS, ClipView, Stream
from datasets.clips.crops import short_side_for
from models import StreamNetwork
from models.weights import stream_channels, weights_of


def stream_of(state: Mapping[str, Any], source: str) -> Stream:
    """Return the stream of a checkpoint's network; of a published one it is the first with as many channels.

    Raises:
        ValueError: If there is no such stream, or its channels are others.
    """
    channels = stream_channels(state, weights_of(state, source), source)
    for stream in STREAMS.values():
        if state.get("stream", stream.name) == stream.name and channels == stream.channels:
            return stream
    problem = f"states stream {state['stream']}, but" if "stream" in state else "cannot tell its stream:"
    known = ", ".join(f"{stream.name} {stream.channels}" for stream in STREAMS.values())
    raise ValueError(f"{source}: {problem} its first convolution has {channels} input channels ({known})")


def at_own_size(network: StreamNetwork, opt: Namespace, state: Mapping[str, Any]) -> Namespace:
    """Let a network read its stream at the side of its training, unless one is given; return the options for that.

    The short side of the frames is in proportion, so that all networks see the same part of them.

    Args:
        network: Its `view` is set.
        opt: Options of the clips.
        state: The network's checkpoint; a published one states no side.
    """
    side = state.get("recipe", {}).get("sample_size", opt.sample_size)
    if "sample_size" in opt.given or side == opt.sample_size:
        return opt
    network.view = ClipView(STREAMS[network.stream], side).name
    short_side = short_side_for(side, opt.sample_size, opt.short_side)
    return Namespace(**vars(opt) | {"sample_size": side, "short_side": short_side})
