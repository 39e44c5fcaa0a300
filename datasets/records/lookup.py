"""Lookup of every listed video, before anything is read."""

import logging
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from sts_common import counted
from sts_common.memory import no_collection

from ..decoding.video.containers import DamagedVideo
from ..lists.entries import Entry, Segment
from ..stores.store import Store, Video, usable_frames
from ..stores.video_table import VideoRow, VideoTable
from ..streams import FLOW, FRAMES_ALONE, RGB

log = logging.getLogger(__name__)

MISSING = ("error", "skip")
AT_ONCE = 20_000  # videos whose facts are held at a time
SHOWN = 20  # videos left out that are named one by one


class LocatedVideo(NamedTuple):
    """Facts about a video, from a manifest or from the disk."""

    folder: str  # path of the video, as text: a `Path` takes longer to build than all else
    counts: Mapping[str, int]  # images by stream
    rate: float | None  # frames per second, None if nobody knows


def find_videos(
    entries: Sequence[Entry],
    store: Store,
    *,
    needs: Collection[str],
    missing: str = "error",
    spare: int = 0,
    located: Mapping[str, LocatedVideo] | None = None,
) -> VideoTable:
    """Look up every entry.

    Streams that every video `needs`; `missing` "skip" leaves out what cannot be used, and says so. There are `spare`
    frames after the last usable one: 1 where something is made of a frame and the next one. Facts `located` by a
    manifest are taken by the path of an entry; other videos are looked for on the disk. Raises FileNotFoundError if the
    root is absent, or a video is and `missing` is "error"; ValueError if no video is left, or one cannot be used and
    `missing` is "error".
    """
    if not store.root.is_dir():
        raise FileNotFoundError(f"{store.root}: no such folder; --frame_dir must hold the extracted frames or videos")
    videos, problems = look_up(entries, store, needs=frozenset(needs), spare=spare, located=located or {})
    if problems and (missing == "error" or not videos):
        first, advice = problems[0], cure(problems, len(entries), needs)
        raise type(first)(f"{first} {advice}")
    for problem in problems[:SHOWN]:
        log.warning("left out: %s", problem)
    if problems:
        more = f"{len(problems) - SHOWN} more left out; " if len(problems) > SHOWN else ""
        log.warning("%s%s of %s used", more, f"{len(videos):,}", counted(len(entries), "listed video"))
    return videos


def look_up(
    entries: Sequence[Entry],
    store: Store,
    *,
    needs: frozenset[str],
    spare: int,
    located: Mapping[str, LocatedVideo],
) -> tuple[VideoTable, list[OSError | ValueError]]:
    """Return the videos that were found, and the problems with others; arguments as `find_videos`."""

    def listed_facts(entry: Entry) -> LocatedVideo | None:
        facts = located.get(entry.path)
        return facts if facts and needs <= facts.counts.keys() else None

    def look(entry: Entry, facts: LocatedVideo | None) -> VideoRow | OSError | ValueError:
        try:
            return row_of(entry, facts or look_on_disk(entry, store, needs), store, needs, spare)
        except (OSError, ValueError) as error:
            return error

    videos, problems = VideoTable(store.root), list[OSError | ValueError]()
    with ThreadPoolExecutor(8) as pool:  # listing folders waits for the disk, not for Python
        for start in range(0, len(entries), AT_ONCE):
            some = [(entry, listed_facts(entry)) for entry in entries[start : start + AT_ONCE]]
            unknown = [entry for entry, facts in some if facts is None]
            disk = iter(list(pool.map(look, unknown, repeat(None))))
            with no_collection():
                sort_out((look(*pair) if pair[1] else next(disk) for pair in some), videos, problems)
    return videos, problems


def sort_out(
    results: Iterable[VideoRow | OSError | ValueError], videos: VideoTable, problems: list[OSError | ValueError]
) -> None:
    """Add the videos that were found, and the problems with others."""
    for result in results:
        if isinstance(result, tuple):
            videos.add(*result)
        else:
            problems.append(result)


def without_quarantined(
    entries: Sequence[Entry], quarantine: Mapping[str, str], *, strict: bool, missing: str
) -> list[Entry]:
    """Drop the entries that must not be used, for the reasons that `quarantine` states by path.

    `strict`: leaving one out must be asked for, by `missing` "skip", as in a test, whose result would be another one's.
    Raises ValueError if one is in quarantine and that must be asked for, or if all are.
    """
    usable = [entry for entry in entries if entry.path not in quarantine]
    if len(usable) == len(entries):
        return usable
    out = next(entry.path for entry in entries if entry.path in quarantine)
    count = len(entries) - len(usable)
    if not usable or (strict and missing == "error"):
        raise ValueError(
            f"{out}: in quarantine ({quarantine[out]}), as are {count:,} of {counted(len(entries), 'video')}: mend "
            "them and run utils1/audit.py again, or leave them out with --missing skip"
        )
    listed = counted(len(entries), "listed video")
    log.warning("%s of %s used (%s in quarantine)", f"{len(usable):,}", listed, f"{count:,}")
    return usable


def look_on_disk(entry: Entry, store: Store, needs: Collection[str]) -> LocatedVideo:
    """Look up on the disk what a manifest would say of a video."""
    folder = store.locate(entry.path)
    counts = store.counts(folder, needs)
    in_seconds = entry.segment is not None and entry.segment.unit == "seconds"
    return LocatedVideo(str(folder), counts, store.rate(folder) if in_seconds else None)


def video_of(entry: Entry, facts: LocatedVideo, store: Store, needs: Collection[str], spare: int) -> Video:
    """Cut an entry's part out of a video; raises as `row_of`."""
    name, folder, *numbers = row_of(entry, facts, store, needs, spare)
    return Video(name, Path(folder), *numbers)


def row_of(entry: Entry, facts: LocatedVideo, store: Store, needs: Collection[str], spare: int) -> VideoRow:
    """Return an entry's part of a video for a table.

    Raises FileNotFoundError if it lacks a stream, ValueError if no frame can be used.
    """
    folder, counts, rate = facts
    for stream in needs:
        if not counts.get(stream):
            raise FileNotFoundError(f"{folder}: no {stream} images")
    counts = counts if FLOW.name in needs else {RGB.name: counts[RGB.name]}
    try:
        last = usable_frames(counts, store.flow_lag)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from None
    before, last = bounds(entry.segment, last, rate, folder)
    last -= spare
    if last <= before:
        raise ValueError(f"{folder}: a single frame has no flow, nor a difference from the next one")
    return entry.name, folder, entry.label, last - before, before


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
        raise ValueError(f"{folder}: its segments are in seconds, but nothing says how many frames a second has")
    else:  # annotated ends often lie a little behind the end of the file
        before, last = math.floor(start * rate), min(math.ceil(end * rate), frames)
    if not 0 <= before < last <= frames:
        raise ValueError(f"{folder}: {frames} usable frames, but its list means {start:g} to {end:g} {unit}")
    return before, last


def cure(problems: Sequence[Exception], total: int, needs: Collection[str]) -> str:
    """Return advice on videos that cannot be used; a file that is damaged cannot be extracted either."""
    tool = "extract_frames_flows.py" if FLOW.name in needs else "extract_frames.py"
    hint = f", or read frames alone with --modality {FRAMES_ALONE} --only_RGB" if FLOW.name in needs else ""
    extract = "" if isinstance(problems[0], DamagedVideo) else f"run utils1/{tool}{hint}, "
    return (
        f"({len(problems):,} of {counted(total, 'video')} cannot be used): {extract}see all problems with "
        "utils1/audit.py, or leave them out with --missing skip"
    )
