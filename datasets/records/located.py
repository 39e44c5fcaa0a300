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
    rate: float | None  # frames per second, None if nobody knows


def counts_of(rgb: int, flow: int) -> dict[str, int]:
    """Return the images of a video by stream, of which those that are `NONE` were not counted."""
    return {stream: count for stream, count in ((RGB.name, rgb), (FLOW.name, flow)) if count != NONE}


class FactColumns(NamedTuple):
    """Facts about some videos, by position in a list of them."""

    rgb: Numbers  # number of frames, int32 (N,), or `NONE`
    flow: Numbers  # likewise of flows
    rates: Codes  # frames per second, None if nobody knows
    places: Codes  # what follows the path, or a `Path` below the root that is another one

    def have(self, needs: Collection[str]) -> Numbers:
        """Return whether each video is known, and has the streams that it needs."""
        counts = {RGB.name: self.rgb, FLOW.name: self.flow}
        known = (self.rgb != NONE) | (self.flow != NONE)
        return np.logical_and.reduce([known, *(counts.get(stream, known * 0 + NONE) != NONE for stream in needs)])


class FactBuilder:
    """Builder of the facts about so many videos."""

    def __init__(self, count: int) -> None:
        self.rgb, self.flow = (np.full(count, NONE, np.int32) for _ in range(2))
        self.rates, self.places = (CodesBuilder([first]) for first in (None, ""))
        self.rate_codes, self.place_codes = (np.zeros(count, np.uint8) for _ in range(2))

    def put(self, positions: Numbers, rows: Sequence[Row]) -> None:
        """Set what rows of a manifest say of the videos at these positions; none of one at -1."""
        at = positions[positions >= 0]
        chosen = (
            rows if len(at) == len(rows) else [row for row, n in zip(rows, positions.tolist(), strict=True) if n >= 0]
        )
        if not chosen:
            return
        names, folders, rgb, flow, _, _, _, rates, _ = zip(*chosen, strict=True)
        self.rgb[at], self.flow[at] = (
            [NONE if count is None else count for count in counts] if None in counts else counts
            for counts in (rgb, flow)
        )
        self.rate_codes = with_codes(self.rate_codes, at, self.rates.numbered(rates))
        places = self.places.numbered(list(map(place_of, names, folders)))
        self.place_codes = with_codes(self.place_codes, at, places)

    def build(self) -> FactColumns:
        """Return the facts."""
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
        facts, positions = self.facts, self.index.find(paths)
        rgb, flow = (np.where(positions < 0, NONE, counts[positions]) for counts in (facts.rgb, facts.flow))
        return FactColumns(rgb, flow, facts.rates.take(positions), facts.places.take(positions))

    def part(self, paths: Texts, some: slice) -> FactColumns:
        """Return the facts about a part of the videos at these paths, as `find`."""
        if paths is not self.index.texts or not self.index.differ:
            return self.find(paths[some].decoded())
        facts = self.facts  # of these very paths
        return FactColumns(
            facts.rgb[some], facts.flow[some], *(Codes(c.values, c.codes[some]) for c in (facts.rates, facts.places))
        )

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
        known = np.flatnonzero((self.facts.rgb != NONE) | (self.facts.flow != NONE))
        return iter(self.index.texts.take(known))

    def __len__(self) -> int:
        return int(np.count_nonzero((self.facts.rgb != NONE) | (self.facts.flow != NONE)))
