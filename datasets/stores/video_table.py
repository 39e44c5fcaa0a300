"""Videos in columns: ten million of them as objects would take ten times the memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from ..lists.entries import Entry
from ..lists.entry_table import EntryTable
from ..lists.text_columns import Codes, Numbers
from .store import Video


@dataclass(eq=False, repr=False)
class VideoTable(Sequence[Video]):
    """Sequence of videos, each of which is built when it is asked for."""

    root: Path  # folder of all videos
    entries: EntryTable  # what is listed of each
    frames: Numbers  # number of frames of each
    first: Numbers  # frames of the file before frame 1 of each
    places: Codes  # where each lies: what follows the listed path, as "" or ".mp4", or a `Path` that is another one

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | Sequence[Video]:
        if isinstance(index, slice):
            return [self.video(i) for i in range(*index.indices(len(self)))]
        return self.video(range(len(self))[index])

    def __iter__(self) -> Iterator[Video]:
        return map(self.video, range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(Video.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    @property
    def names(self) -> Iterator[str]:
        """The identities of the videos in results."""
        return self.entries.names

    @property
    def labels(self) -> Numbers:
        return self.entries.labels

    def video(self, index: int) -> Video:
        entry, place = self.entries[index], self.places.values[self.places.codes[index]]
        folder = self.root / (entry.path + place) if isinstance(place, str) else place
        return Video(entry.name, folder, entry.label, int(self.frames[index]), int(self.first[index]))


def frames_of(videos: Sequence[Video]) -> Numbers:
    """Return the number of frames of each video, int64 (N,)."""
    table = table_of(videos)
    frames = table.frames if isinstance(table, VideoTable) else [video.num_frames for video in videos]
    return np.asarray(frames, np.int64)


def labels_of(videos: Sequence[Entry] | Sequence[Video]) -> Numbers:
    """Return the class index of each video, integers (N,)."""
    table = table_of(videos)
    return np.asarray(table.labels if table else [video.label for video in videos])


def names_of(videos: Sequence[Entry] | Sequence[Video]) -> Iterator[str]:
    """Return the names of videos."""
    table = table_of(videos)
    return table.names if table else (video.name for video in videos)


def table_of(videos: Any) -> VideoTable | EntryTable | None:
    """Return the table in which videos lie, None if they are objects."""
    items = getattr(videos, "items", videos)  # of `Videos`
    return items if isinstance(items, VideoTable | EntryTable) else None
