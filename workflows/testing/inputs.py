"""Input of the network of a checkpoint: its stream, and the size at which it is read."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import STREAMS, ClipView, Stream, check_data
from datasets.clips.crops import short_side_for
from models import StreamNetwork, load_stream
from models.weights import stream_channels, weights_of
from opts import ARCHITECTURE, adopt


def stream_of(state: Mapping[str, Any], source: str) -> Stream:
    """Return the stream of a checkpoint's network; of a published one it is the first with as many channels.

    Raises ValueError if there is no such stream, or its channels are others.
    """
    channels = stream_channels(state, weights_of(state, source), source)
    for stream in STREAMS.values():
        if state.get("stream", stream.name) == stream.name and channels == stream.channels:
            return stream
    problem = f"states stream {state['stream']}, but" if "stream" in state else "cannot tell its stream:"
    known = ", ".join(f"{stream.name} {stream.channels}" for stream in STREAMS.values())
    raise ValueError(f"{source}: {problem} its first convolution has {channels} input channels ({known})")


def load_input(
    opt: Namespace,
    state: Mapping[str, Any],
    source: str,
    stream: Stream,
    *,
    num_classes: int | None = None,
    class_names: Sequence[str] | None = None,
) -> StreamNetwork:
    """Load the network of a checkpoint in its own architecture, to read its stream at the side of its training.

    A side that is given is the side of all networks; a published checkpoint states none. `num_classes` are the outputs
    it must have, `class_names` those of the data, which must be the network's; None accepts any. Raises ValueError if
    the checkpoint does not fit its stream or the data.
    """
    network = load_stream(adopt(opt, state, ARCHITECTURE, source), stream, state, source, num_classes)
    side = opt.sample_size if "sample_size" in opt.given else state.get("recipe", {}).get("sample_size")
    size = set_side(network, side, opt.sample_size, opt.short_side)
    check_data(Namespace(**vars(opt) | size), state, source, stream, class_names)
    return network


def set_side(network: StreamNetwork, side: int | None, default: int, short_side: int | None) -> dict[str, int | None]:
    """Let a network read its stream at a side; return the "sample_size" and "short_side" of its clips.

    The short side of the frames, None for as they are, is that of the default side in proportion, so that all networks
    see the same part of them. Without `side` it is the default one.
    """
    if side in (None, default):
        return {"sample_size": default, "short_side": short_side}
    network.view = ClipView(STREAMS[network.stream], side).name
    return {"sample_size": side, "short_side": short_side_for(side, default, short_side)}
