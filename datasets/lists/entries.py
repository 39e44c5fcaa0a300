"""Annotation entries: a video or a segment of it, with its label and group."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple


class Segment(NamedTuple):
    """Part of a video."""

    start: float  # first frame, from 1, or seconds from the beginning
    end: float  # last frame, itself included, or the second at which it ends
    unit: Literal["frames", "seconds"]  # of the two


class Entry(NamedTuple):
    """A line of an annotation file."""

    path: str  # the video below the root, with forward slashes and without a file's extension
    label: int  # class index, from 0
    group: str  # source it was cut from. Clips of one group look alike and belong on one side of a hold-out
    segment: Segment | None = None  # part of the video that is meant, None for all of it

    @property
    def name(self) -> str:
        """The identity of the video, or of its segment, in results."""
        if self.segment is None:
            return self.path
        start, end, unit = self.segment
        return f"{self.path} {start:.12g}-{end:.12g}{' s' if unit == 'seconds' else ''}"


class Listing(NamedTuple):
    """Entries and class names of an annotation."""

    entries: Sequence[Entry]  # in the order of the files
    class_names: list[str]  # by class index


# (folder of the annotation files, or one list; official split, which data sets with a single one ignore; "train" or
# "test") -> the videos of one subset. Raises FileNotFoundError for a file that is missing, ValueError for a line that
# is malformed or names an unknown class.
ListVideos = Callable[[Path, int, str], Listing]
