"""Videos that an audit has located, in columns."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..lists.text_columns import Codes, CodesBuilder, Numbers, TextIndex, Texts, compact
from ..streams import FLOW, RGB
from .manifest_rows import Row

NONE = -1  # frames of a stream that were not counted


class LocatedVideo(NamedTuple):
    """Facts about a video, from a manifest or from the disk."""

    folder: str  # path of the video, as text: a `Path` takes longer to build than all else
    counts: Mapping[str, int]  # images by stream
    rate: float | None  # frames per second, None if unknown


def counts_of(rgb: int, flow: int) -> dict[str, int]:
    """Return the images of a video by stream, of which those that are `NONE` were not counted."""
    return {stream: count for stream, count in ((RGB.name, rgb), (FLOW.name, flow)) if count != NONE}


class FactColumns(NamedTuple):
    """Facts about some videos, by position in a list of them."""

    rgb: Numbers  # number of frames, int32 (N,), or `NONE`
    flow: Numbers  # likewise of flows
    rates: Codes  # frames per second, None if unknown
    places: Codes  # what follows the path, or a `Path` below the root that is another one

    @property
    def known(self) -> Numbers:
        """Whether each video was located, bool (N,)."""
        return (self.rgb != NONE) | (self.flow != NONE)

    def have(self, needs: Collection[str]) -> Numbers:
        """Return whether each video is known, and has the streams that it needs."""
        counts, known = {RGB.name: self.rgb, FLOW.name: self.flow}, self.known
        return np.logical_and.reduce([known, *(counts.get(stream, known * 0 + NONE) != NONE for stream in needs)])

    def take(self, positions: Numbers | slice) -> "FactColumns":
        rates, places = self.rates.take(positions), self.places.take(positions)
        return FactColumns(self.rgb[positions], self.flow[positions], rates, places)


class FactBuilder:
    """Builder of the facts about so many videos."""

    def __init__(self, count: int) -> None:
        self.rgb, self.flow = (np.full(count, NONE, np.int32) for _ in range(2))
        self.rates, self.places = (CodesBuilder([first]) for first in (None, ""))
        self.rate_codes, self.place_codes = (np.zeros(count, np.uint8) for _ in range(2))

    def put(self, positions: Numbers, rows: Sequence[Row]) -> None:
        """Set what rows of a manifest say of the videos at these positions; none of one at -1."""
        at = positions[positions >= 0]
        if len(at) < len(rows):
            rows = [row for row, position in zip(rows, positions.tolist(), strict=True) if position >= 0]
        if not rows:
            return
        names, folders, rgb, flow, _, _, _, rates, _ = zip(*rows, strict=True)
        self.rgb[at], self.flow[at] = (
            [NONE if count is None else count for count in counts] if None in counts else counts
            for counts in (rgb, flow)
        )
        self.rate_codes = with_codes(self.rate_codes, at, self.rates.numbered(rates))
        places = self.places.numbered(list(map(place_of, names, folders)))
        self.place_codes = with_codes(self.place_codes, at, places)

    def build(self) -> FactColumns:
        rates = Codes(list(self.rates.numbers), self.rate_codes)
        return FactColumns(self.rgb, self.flow, rates, Codes(list(self.places.numbers), self.place_codes))


def with_codes(codes: Numbers, positions: Numbers, new: Sequence[int]) -> Numbers:
    """Set some of the codes, which get a wider type where they need it."""
    values = compact(new)
    codes = codes if codes.itemsize >= values.itemsize else codes.astype(values.dtype)
    codes[positions] = values
    return codes


def place_of(path: str, folder: str | None) -> str | Path:
    """Return what follows the path of a video where it lies below the root, or if it does not begin so the folder."""
    if folder is None:
        return ""
    return folder[len(path) :] if folder.startswith(path) else Path(folder)


class LocatedVideos(Mapping[str, LocatedVideo]):
    """Facts about videos by path, each built when it is asked for.

    Args:
        root: Folder of all videos.
        index: Their paths; some may not have been located.
        facts: About each.
    """

    def __init__(self, root: Path, index: TextIndex, facts: FactColumns) -> None:
        self.root, self.index, self.facts = root, index, facts
        self.start = str(root / "x")[:-1]

    def find(self, paths: Sequence[str]) -> FactColumns:
        """Return the facts about some videos, those of unknown ones without a count."""
        positions = self.index.find(paths)
        facts = self.facts.take(positions)
        rgb, flow = (np.where(positions < 0, NONE, counts) for counts in (facts.rgb, facts.flow))
        return facts._replace(rgb=rgb, flow=flow)

    def part(self, paths: Texts, rows: slice) -> FactColumns:
        """Return the facts about a part of the videos at these paths, as `find`."""
        if paths is self.index.texts and self.index.differ:
            return self.facts.take(rows)
        return self.find(paths[rows].decoded())

    def video(self, path: str, facts: FactColumns, number: int) -> LocatedVideo | None:
        """Build a video of the facts about some, None if it is unknown."""
        counts = counts_of(int(facts.rgb[number]), int(facts.flow[number]))
        place, rate = (column.values[column.codes[number]] for column in (facts.places, facts.rates))
        folder = self.start + path + place if isinstance(place, str) else str(self.root / place)
        return LocatedVideo(folder, counts, rate) if counts else None

    def __getitem__(self, path: str) -> LocatedVideo:
        if video := self.video(path, self.find([path]), 0):
            return video
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self.index.texts.take(np.flatnonzero(self.facts.known)))

    def __len__(self) -> int:
        return int(np.count_nonzero(self.facts.known))
