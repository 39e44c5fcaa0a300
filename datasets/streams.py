"""Input streams, and views of them: what a batch holds of each clip, by name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Stream:
    """One input stream.

    Attributes:
        name: Key of the stream in a sample.
        channels: Channels of a frame.
        mean: Per channel, in grey levels 0-255; subtracted on the device.
        std: Per channel, in grey levels; divided by on the device.
        source: Name of the stored stream whose frames it is made of; "" for its own.
        of_pair: Makes frame k of it of frames k and k + 1 of the source, both uint8 of one shape; None where it has
            the frames of the source.
        vectors: Whether the channels are x and y of motion about 127.5, which turn with the picture.
    """

    name: str
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    source: str = ""
    of_pair: Callable[[Frames, Frames], Frames] | None = None
    vectors: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "source", self.source or self.name)

    @property
    def leads(self) -> bool:
        """Whether frame k leads from frame k of a video to k + 1, so that its last frame has none."""
        return self.vectors or self.of_pair is not None

    @property
    def is_flow(self) -> bool:
        """Whether it is flow, or made of it."""
        return self.source == "flow"


def difference(frame: Frames, following: Frames) -> Frames:
    """Compute the difference of frames from those that follow them, uint8 of any one shape.

    It is floor(127.5 + (following - frame) / 2), so that 2 x - 255 is the difference in grey levels, or one less where
    that is even. No change is therefore stored as 127, as no motion is in flow.
    """
    return ((following.astype(np.int16) - frame + 255) >> 1).astype(np.uint8)


# ActivityNet means and no division, as in the 3D-ResNets release that the published weights come from.
RGB = Stream("rgb", 3, (114.7748, 107.7354, 99.4750), (1.0, 1.0, 1.0))
# Flow bytes are floor((clip(d, -20, 20) + 20) / 40 * 255), d in pixels per frame. No motion is therefore
# stored as 127 and reads as -0.5 once this mean is subtracted.
FLOW = Stream("flow", 2, (127.5, 127.5), (1.0, 1.0), vectors=True)
# RGB difference d (Wang et al., ECCV 2016), stored as 127.5 + d / 2: normalised, it is in grey levels as there.
RGB_DIFF = Stream("rgbdiff", 3, (127.5,) * 3, (0.5,) * 3, source=RGB.name, of_pair=difference)

STREAMS = {stream.name: stream for stream in (RGB, FLOW, RGB_DIFF)}
STORED = tuple(name for name, stream in STREAMS.items() if stream.source == name)
MODALITIES = {"RGB": (RGB,), "Flow": (FLOW,), "RGB_Flow": (RGB, FLOW), "RGBDiff": (RGB_DIFF,)}
# Modalities that need no flow, in words.
FRAMES_ALONE = " or ".join(n for n, streams in MODALITIES.items() if {s.source for s in streams} == {RGB.name})
SINGLE_STREAMS = {name: streams[0] for name, streams in MODALITIES.items() if len(streams) == 1}


class ClipView(NamedTuple):
    """A stream at a size: one entry of a sample. All views of a clip are of one draw of time, crop and mirroring.

    Attributes:
        stream: What it shows.
        side: Side in pixels; None for that of the clip, `--sample_size`.
    """

    stream: Stream
    side: int | None = None

    @property
    def name(self) -> str:
        """Key in a sample, like "rgb" or "rgb@224"."""
        return self.stream.name if self.side is None else f"{self.stream.name}@{self.side}"


def parse_view(name: str) -> ClipView:
    """Return the view of a name; raises ValueError if there is no such stream, or its side is no number of pixels."""
    stream, at, side = name.partition("@")
    if stream not in STREAMS or (at and not (side.isascii() and side.isdecimal() and int(side))):
        raise ValueError(f"view {name!r}: expected one of {', '.join(STREAMS)}, or with a side in pixels, like rgb@224")
    return ClipView(STREAMS[stream], int(side) if at else None)


def views_of(names: Iterable[Stream | ClipView | str]) -> tuple[ClipView, ...]:
    """Return views, each once, of streams, views or their names; raises as `parse_view`."""
    views = (ClipView(x) if isinstance(x, Stream) else parse_view(x) if isinstance(x, str) else x for x in names)
    return tuple(dict.fromkeys(views))


def sources_of(views: Iterable[ClipView]) -> list[Stream]:
    """Return the stored streams that views are made of, each once."""
    return [STREAMS[name] for name in dict.fromkeys(view.stream.source for view in views)]


def modality_of(streams: Iterable[Stream]) -> str:
    """Return the key of `MODALITIES` for some streams: with just these, else with all of them, else of their sources.

    Raises ValueError if there is none.
    """
    chosen = set(streams)
    sources = {stream.source for stream in chosen}
    names = [name for name, members in MODALITIES.items() if set(members) == chosen]
    names += [name for name, members in MODALITIES.items() if set(members) >= chosen]
    names += [name for name, members in MODALITIES.items() if {stream.source for stream in members} >= sources]
    if not names:
        raise ValueError(f"no --modality has {', '.join(sorted(stream.name for stream in chosen))}")
    return names[0]
