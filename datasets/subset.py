"""Videos of a subset that can be used, and where they are stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from sts_common import check_choice

from .stores.store import Store, Video
from .streams import STREAMS, Stream


@dataclass(frozen=True, kw_only=True)
class Videos(Sequence[Video]):
    """Videos of a subset that can be used, in the order of their list: a sequence of `Video`.

    Attributes:
        items: The videos.
        store: Source of their frames.
        class_names: By label.
        listed: Number of videos that are listed, also those that cannot be used.
        dataset: Name of the data set, a key of `DATASETS`.
        subset: "train", "val" or "test".
        streams: Streams that every video has.
        flow_source: "files", or "online" where flow is computed.
        video_fps: Frames per second that video files are read at; None for their own.
        decoder: Decoder of JPEG images, a name of `DECODERS`.
    """

    items: Sequence[Video]
    store: Store
    class_names: Sequence[str]
    listed: int
    dataset: str
    subset: str
    streams: tuple[Stream, ...]
    flow_source: str = "files"
    video_fps: float | None = 25.0
    decoder: str = "auto"

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | Sequence[Video]:
        return self.items[index]


def find_streams(streams: Sequence[Stream | str] | str) -> tuple[Stream, ...]:
    """Return the streams of these names; raises ValueError if there is none of a name, or no name."""
    names = [x.name if isinstance(x, Stream) else x for x in ([streams] if isinstance(streams, str) else streams)]
    for name in names or [""]:
        check_choice("stream", name, STREAMS)
    return tuple(STREAMS[name] for name in dict.fromkeys(names))
