"""Lookup of every listed video, before anything is read."""

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import repeat
from pathlib import Path

import numpy as np

from sts_common import counted

from ..decoding.video.containers import DamagedVideo
from ..lists.entries import Entry, Segment
from ..lists.entry_table import EntryTable
from ..lists.text_columns import AT_ONCE, Codes, Numbers, compact, in_parts
from ..stores.store import Store, Video, usable_frames
from ..stores.video_table import VideoTable
from ..streams import FLOW, FRAMES_ALONE, RGB
from .located import FactColumns, LocatedVideo, LocatedVideos, counts_of, place_of

Extent = tuple[str, int, int]  # where a video lies, the frames before its part, and those in it

log = logging.getLogger(__name__)

MISSING = ("error", "skip")
NO_ENTRY = Entry("", 0, "")
CACHE_SIZE = 100_000  # pairs of counts whose usable frames are cached
MOST_NAMED = 20  # videos left out that are named one by one


def find_videos(
    entries: Sequence[Entry],
    store: Store,
    *,
    needs: Collection[str],
    missing: str = "error",
    spare: int = 0,
    located: LocatedVideos | None = None,
) -> VideoTable:
    """Look up every entry.

    Streams that every video `needs`; `missing` "skip" leaves out what cannot be used, and says so. There are `spare`
    frames after the last usable one: 1 where something is made of a frame and the next one. Facts `located` by a
    manifest are taken by the path of an entry; other videos are looked for on the disk. Raises FileNotFoundError if a
    video is absent and `missing` is "error"; ValueError if no video is left, or one cannot be used and `missing` is
    "error".
    """
    videos, problems = look_up(entries, store, needs=frozenset(needs), spare=spare, located=located)
    if problems and (missing == "error" or not videos):
        first, advice = problems[0], cure(problems, len(entries), needs)
        raise type(first)(f"{first} {advice}")
    for problem in problems[:MOST_NAMED]:
        log.warning("left out: %s", problem)
    if problems:
        more = f"{len(problems) - MOST_NAMED} more left out; " if len(problems) > MOST_NAMED else ""
        log.warning("%s%s of %s used", more, f"{len(videos):,}", counted(len(entries), "listed video"))
    return videos


def look_up(
    entries: Sequence[Entry], store: Store, *, needs: frozenset[str], spare: int, located: LocatedVideos | None
) -> tuple[VideoTable, list[OSError | ValueError]]:
    """Return the videos that were found, and the problems with others; arguments as `find_videos`."""

    @lru_cache(CACHE_SIZE)
    def whole(rgb: int, flow: int) -> int:
        result = look(NO_ENTRY, LocatedVideo("", counts_of(rgb, flow), None))
        return result[2] if isinstance(result, tuple) else 0

    def look(entry: Entry, facts: LocatedVideo | None) -> Extent | OSError | ValueError:
        try:
            facts = facts or look_on_disk(entry, store, needs)
            return (facts.folder, *extent_of(entry.segment, facts, store, needs, spare))
        except (OSError, ValueError) as error:
            return error

    table, problems = EntryTable.of(entries), list[OSError | ValueError]()
    first, frames, codes = (np.zeros(len(table), np.int32) for _ in range(3))
    places = Places(store.root, located)
    with ThreadPoolExecutor(8) as pool:  # listing folders waits for the disk, not for Python
        for part in in_parts(len(table), AT_ONCE):
            facts = located.part(table.paths, part) if located else None
            if facts:  # most are whole, and known
                known = np.flatnonzero(facts.have(needs) & table.whole(part))
                frames[part][known] = map_pairs(whole, facts.rgb[known], facts.flow[known])
                codes[part] = facts.places.codes
            rest = np.flatnonzero(frames[part] == 0)
            listed = [table[row] for row in (rest + part.start).tolist()]
            known_facts = facts_in_manifest(listed, rest, located, facts, needs)
            disk = pool.map(look, (e for e, video in zip(listed, known_facts, strict=True) if not video), repeat(None))
            for row, entry, video in zip((rest + part.start).tolist(), listed, known_facts, strict=True):
                result = look(entry, video) if video else next(disk)
                if isinstance(result, tuple):
                    folder, first[row], frames[row] = result
                    codes[row] = places.code(entry.path, folder)
                else:
                    problems.append(result)
    return as_table(store.root, table, frames, first, Codes(list(places.numbers), codes)), problems


def facts_in_manifest(
    entries: Sequence[Entry],
    rows: Numbers,
    located: LocatedVideos | None,
    facts: FactColumns | None,
    needs: frozenset[str],
) -> list[LocatedVideo | None]:
    """Return what a manifest knows of entries, which are such rows of its facts; None where that is not enough."""
    if located is None or facts is None:
        return [None] * len(entries)
    videos = [located.video(entry.path, facts, row) for entry, row in zip(entries, rows.tolist(), strict=True)]
    return [video if video and needs <= video.counts.keys() else None for video in videos]


def map_pairs(function: Callable[[int, int], int], rgb: Numbers, flow: Numbers) -> Numbers:
    """Return the results of a function of two counts, called once for pairs that are alike."""
    pairs, numbers = np.unique((rgb.astype(np.int64) << 32) + flow, return_inverse=True)
    rows = zip(((pairs + 1) >> 32).tolist(), pairs.tolist(), strict=True)  # flow is -1 at least
    return np.array([function(high, pair - (high << 32)) for high, pair in rows], np.int32)[numbers]


def as_table(root: Path, entries: EntryTable, frames: Numbers, first: Numbers, places: Codes) -> VideoTable:
    """Return the table of the videos that have frames; it knows no groups."""
    if not frames.all():
        present = np.flatnonzero(frames)
        entries, frames, first, places = entries.part(present), frames[present], first[present], places.take(present)
    ungrouped = EntryTable(entries.paths, entries.labels, entries.paths, entries.segments)
    return VideoTable(root, ungrouped, compact(frames), compact(first), Codes(places.values, compact(places.codes)))


class Places:
    """Numbers of the places of videos, of which few differ: what follows the listed path, or a `Path`."""

    def __init__(self, root: Path, located: LocatedVideos | None) -> None:
        known = located.facts.places.values if located else []  # whose numbers stay
        self.start = str(root / "x")[:-1]
        self.numbers = {p if isinstance(p, str) else root / p: number for number, p in enumerate(known)}

    def code(self, path: str, folder: str) -> int:
        """Return the number of the place of a video, from its listed path and where it lies."""
        return self.numbers.setdefault(place_of(self.start + path, folder), len(self.numbers))


def without_quarantined(
    entries: Sequence[Entry], quarantine: Mapping[str, str], *, strict: bool, missing: str
) -> Sequence[Entry]:
    """Drop the entries that must not be used, for the reasons that `quarantine` states by path.

    `strict`: leaving one out must be asked for, by `missing` "skip", as in a test, whose result would be another one's.
    Raises ValueError if one is in quarantine and that must be asked for, or if all are.
    """
    table = EntryTable.of(entries)
    out = [number for number, path in enumerate(table.paths) if path in quarantine] if quarantine else []
    if not out:
        return entries
    first, count = table.paths[out[0]], len(out)
    if count == len(entries) or (strict and missing == "error"):
        raise ValueError(
            f"{first}: in quarantine ({quarantine[first]}), as are {count:,} of {counted(len(entries), 'video')}: mend "
            "them and run utils1/audit.py again, or leave them out with --missing skip"
        )
    listed = counted(len(entries), "listed video")
    log.warning("%s of %s used (%s in quarantine)", f"{len(entries) - count:,}", listed, f"{count:,}")
    return table.part(np.delete(np.arange(len(table)), out))


def look_on_disk(entry: Entry, store: Store, needs: Collection[str]) -> LocatedVideo:
    """Look up on the disk what a manifest would say of a video."""
    folder = store.locate(entry.path)
    counts = store.counts(folder, needs)
    in_seconds = entry.segment is not None and entry.segment.unit == "seconds"
    return LocatedVideo(str(folder), counts, store.rate(folder) if in_seconds else None)


def video_of(entry: Entry, facts: LocatedVideo, store: Store, needs: Collection[str], spare: int) -> Video:
    """Cut an entry's part out of a video; raises as `extent_of`."""
    first, frames = extent_of(entry.segment, facts, store, needs, spare)
    return Video(entry.name, Path(facts.folder), entry.label, frames, first)


def extent_of(
    segment: Segment | None, facts: LocatedVideo, store: Store, needs: Collection[str], spare: int
) -> tuple[int, int]:
    """Return the frames before a part of a video, and those in it.

    Raises FileNotFoundError if it lacks a stream, ValueError if no frame can be used.
    """
    folder, counts, rate = facts
    for stream in needs or [RGB.name]:
        if not counts.get(stream):
            raise FileNotFoundError(f"{folder}: no {stream} images")
    counts = counts if FLOW.name in needs else {RGB.name: counts[RGB.name]}
    try:
        last = usable_frames(counts, store.flow_lag)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    before, last = bounds(segment, last, rate, folder)
    last -= spare
    if last <= before:
        raise ValueError(f"{folder}: a single frame has no flow, nor a difference from the next one")
    return before, last - before


def bounds(segment: Segment | None, frames: int, rate: float | None, folder: str) -> tuple[int, int]:
    """Return the frames before a segment, and its last frame, as numbers in the file.

    Raises ValueError if the video is shorter than its list says.
    """
    if segment is None:
        return 0, frames
    start, end, unit = segment
    if unit == "frames":
        before, last = int(start) - 1, int(end)
        if last == frames + 1:  # lists count frames, and the last frame has no flow
            last = frames
    elif rate is None:
        raise ValueError(f"{folder}: its segments are in seconds, but its frame rate is unknown")
    else:  # annotated ends often lie a little behind the end of the file
        before, last = math.floor(start * rate), min(math.ceil(end * rate), frames)
    if not 0 <= before < last <= frames:
        raise ValueError(f"{folder}: {frames} usable frames, but its list states {start:g} to {end:g} {unit}")
    return before, last


def cure(problems: Sequence[Exception], total: int, needs: Collection[str]) -> str:
    """Return advice on videos that cannot be used; a file that is damaged cannot be extracted either."""
    tool = "extract_frames_flows.py" if FLOW.name in needs else "extract_frames.py"
    hint = f", or read frames alone with --modality {FRAMES_ALONE} --only_RGB" if FLOW.name in needs else ""
    extract = "" if isinstance(problems[0], DamagedVideo) else f"run utils1/{tool}{hint}, "
    skip = ", or leave them out with --missing skip" if len(problems) < total else ""
    return (
        f"({len(problems):,} of {counted(total, 'video')} cannot be used): {extract}see all problems with "
        f"utils1/audit.py{skip}"
    )
