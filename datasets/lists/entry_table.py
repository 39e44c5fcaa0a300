"""Entries in columns: each is an object only while it is looked at."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from sts_common import counted

from .entries import Entry, Segment
from .text_columns import Numbers, Texts, TextsBuilder, in_parts, repeated

MOST_NAMED = 20  # problems that are named one by one
UNITS = (None, "frames", "seconds")

Problem = tuple[int, str]  # number of the first entry after it, and what is said

log = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class Segments:
    """Parts of videos."""

    ends: Numbers  # first and last frame, or seconds, shape (N, 2)
    units: Numbers  # positions in `UNITS`; 0: all of the video

    @classmethod
    def of(cls, segments: Sequence[Segment | None]) -> "Segments | None":
        """Return segments in columns, None if there are none."""
        if not any(segments):
            return None
        ends = [segment[:2] if segment else (0, 0) for segment in segments]
        units = [UNITS.index(segment.unit) if segment else 0 for segment in segments]
        return cls(np.array(ends, np.float64), np.array(units, np.uint8))

    @classmethod
    def joined(cls, parts: Sequence["Segments | None"], sizes: Sequence[int]) -> "Segments | None":
        """Join the parts of a list, each of so many rows, None if there are none."""
        if not any(parts):
            return None
        whole = [part or cls(np.zeros((n, 2)), np.zeros(n, np.uint8)) for part, n in zip(parts, sizes, strict=True)]
        return cls(np.concatenate([part.ends for part in whole]), np.concatenate([part.units for part in whole]))

    def __getitem__(self, index: int) -> Segment | None:
        unit = UNITS[self.units[index]]
        if unit is None:
            return None
        start, end = self.ends[index].tolist()
        return Segment(start, end, "seconds") if unit == "seconds" else Segment(int(start), int(end), "frames")

    def take(self, positions: Numbers | slice) -> "Segments":
        return Segments(self.ends[positions], self.units[positions])


@dataclass(eq=False, repr=False)
class EntryTable(Sequence[Entry]):
    """Sequence of entries, each of which is built when it is asked for."""

    paths: Texts  # of the videos
    labels: Numbers  # class indices
    groups: Texts  # sources that the videos were cut from
    segments: Segments | None = None  # parts of the videos that are meant; None: all are whole

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "EntryTable":
        """Return entries as a table, themselves if they are one."""
        if isinstance(entries, EntryTable):
            return entries
        builder = EntryBuilder()
        builder.extend(entries)
        return builder.build()

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return self.part(index)
        index = range(len(self))[index]
        segment = self.segments[index] if self.segments else None
        return Entry(self.paths[index], int(self.labels[index]), self.groups[index], segment)

    def __iter__(self) -> Iterator[Entry]:
        for rows in in_parts(len(self)):
            part = self.part(rows)
            segments = (part.segments[i] for i in range(len(part))) if part.segments else [None] * len(part)
            yield from map(Entry, part.paths, part.labels.tolist(), part.groups, segments)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(Entry.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))

    @property
    def names(self) -> Iterator[str]:
        """The identities of the videos, or of their segments, in results."""
        return (entry.name for entry in self) if self.segments else iter(self.paths)

    def whole(self, rows: slice) -> Numbers:
        """Return whether each of these entries is a whole video."""
        return self.segments.units[rows] == 0 if self.segments else np.ones(len(self.labels[rows]), bool)

    def part(self, positions: "Numbers | slice") -> "EntryTable":
        segments = self.segments.take(positions) if self.segments else None
        return EntryTable(self.paths.take(positions), self.labels[positions], self.groups.take(positions), segments)


class EntryBuilder:
    """Builder of a table of entries."""

    def __init__(self) -> None:
        self.paths = TextsBuilder()
        self.groups = TextsBuilder(self.paths.data)
        self.labels, self.segments = list[Numbers](), list[Segments | None]()

    def extend(self, entries: Sequence[Entry]) -> None:
        before = len(self.paths.starts)
        paths = [entry.path for entry in entries]
        self.paths.extend(paths)
        self.groups.extend_within([entry.group for entry in entries], paths, self.paths.build(before))
        self.labels.append(np.array([entry.label for entry in entries], np.int32))
        self.segments.append(Segments.of([entry.segment for entry in entries]))

    def build(self) -> EntryTable:
        labels = np.concatenate([np.zeros(0, np.int32), *self.labels])
        segments = Segments.joined(self.segments, list(map(len, self.labels)))
        return EntryTable(self.paths.build(), labels, self.groups.build(), segments)


def by_label(entries: EntryTable) -> Iterator[Numbers]:
    """Yield the positions of the entries of each class, in order."""
    order = np.argsort(entries.labels, kind="stable")
    starts = np.flatnonzero(np.diff(entries.labels[order], prepend=-1))
    yield from np.split(order, starts[1:]) if len(order) else ()


def without_repeats(entries: EntryTable, place_of: Callable[[int], str], problems: list[Problem]) -> EntryTable:
    """Drop entries that are there twice, with a warning.

    Args:
        entries: All that could be parsed.
        place_of: Returns the place of an entry, "FILE:LINE".
        problems: Of rows that could not.

    Raises:
        ValueError: If there are problems, or a video is listed under two classes; names the first of them, by row.
    """
    first: dict[tuple[str, Segment | None], int] = {}
    is_first, repeats = np.ones(len(entries), bool), list[str]()
    clashes = list[Problem]()
    keys = ((e.path, e.segment) for e in entries) if entries.segments else entries.paths
    for number in repeated(keys, len(entries)):
        entry = entries[number]
        other = first.setdefault((entry.path, entry.segment), number)
        if other == number:
            continue
        is_first[number] = False
        place, where = place_of(number), place_of(other)
        if entry.label != entries.labels[other]:
            clashes.append((number, f"{place}: {entry.name!r} is also listed at {where}, as another class"))
        elif place != where:
            repeats.append(f"{place}: {entry.name!r} is also listed at {where}")
    # A row that could not be parsed comes before the entry that follows it.
    ordered = sorted([*problems, *clashes], key=lambda problem: problem[0])
    stop_at([text for _, text in ordered])
    if repeats:
        log.warning("%s; %s left out", repeats[0], counted(len(repeats), "repeated line"))
    return entries if is_first.all() else entries.part(np.flatnonzero(is_first))


def stop_at(problems: list[str]) -> None:
    """Raise a ValueError of the first problems, if there are any."""
    if problems:
        more = f" (and {len(problems) - MOST_NAMED} more)" if len(problems) > MOST_NAMED else ""
        raise ValueError("; ".join(problems[:MOST_NAMED]) + more)
