"""Videos in columns: ten million of them as objects would take ten times the memory."""

from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import overload

from .store import Video

VideoRow = tuple[str, str, int, int, int]  # a `Video` whose folder is text


class VideoTable(Sequence[Video]):
    """Sequence of videos, each built when it is asked for; one at `root / name` takes a few numbers beside its name."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.start = str(root / "x")[:-1]
        self.names = list[str]()
        self.places = list[str | None]()  # None: at root / name
        self.numbers = array("q")  # label, frames and first of each

    def add(self, name: str, folder: str, label: int, num_frames: int, first: int) -> None:
        """Add a video by the values of its attributes."""
        self.names.append(name)
        self.places.append(None if folder == self.start + name else folder)
        self.numbers.extend((label, num_frames, first))

    def __len__(self) -> int:
        return len(self.names)

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
        """Whether another sequence holds the same videos."""
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(Video.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def video(self, index: int) -> Video:
        """Build a video, by its number from 0."""
        name, place = self.names[index], self.places[index]
        label, num_frames, first = self.numbers[3 * index : 3 * index + 3]
        return Video(name, self.root / name if place is None else Path(place), label, num_frames, first)
