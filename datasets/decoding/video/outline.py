"""Display times of the frames of a video file, as far as they can be found without decoding.

A film is its timestamps: how many frames a header counts, and how many there are in a second, are hints. AVI files do
not say when a frame is shown that is coded before others which are shown earlier, and some files lack times, or have
some that cannot be: then the frames are counted in the order in which the decoder gives them.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .containers import DamagedVideo, open_film, packets_of
from .notes import MAX_RATE, describe, is_too_fast
from .packets import UNKNOWN, Contents, Packets, find_damage, read_packets

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

SEEKABLE = ("mov", "matroska", "avi", "flv", "asf")  # after seeking, an MPEG stream numbers its frames anew
CACHE_SIZE = 16384  # outlines per process, a few kilobytes each
UNKNOWN_RATE = 25
REORDERED = 64  # most frames between the place of one among the packets and its place on the screen

Times = NDArray[np.int64]


class VideoIndex(NamedTuple):
    """The frames of a video file in display order, counted from 0."""

    clock: str  # which stamp of a decoded frame says when it is shown: "pts", "dts", or "" for none
    # Of each frame since the first one, increasing. In an outline empty where only decoding tells.
    seconds: NDArray[np.float64]
    stamps: Times  # timestamps of the frames on the clock; empty where frames can only be counted
    keys: NDArray[np.int64]  # frames at which decoding can begin, the first of all among them
    skipped: int  # packets before the first one at which decoding can begin
    unit: float  # seconds in a step of the clock
    period: float  # seconds from frame to frame, about
    last: float  # seconds for which the last frame is shown
    length: float  # seconds from the first frame to the end of the last one; about, in an outline without `seconds`
    size: tuple[int, int]  # width and height of the first frame, before any rotation
    container: str  # FFmpeg's name of the format of the file
    notes: tuple[str, ...]  # notes for a user on how the file is read
    damage: str  # why it is not whole; "" if it is

    def check(self, path: Path, allow_short: bool) -> "VideoIndex":
        """Return the index; raises DamagedVideo if the file is not whole, and that is not allowed."""
        if self.damage and not allow_short:
            raise DamagedVideo(f"{path}: {self.damage}; get the file again")
        return self


def outline(path: Path, allow_short: bool = False) -> VideoIndex:
    """Return the index of a video file without what only decoding tells, cached until the file changes.

    Raises as `index_video`.
    """
    cached = known_outline(path, *state_of(path))
    if not cached:
        with open_film(path) as film:
            cached.append(make_outline(path, film, read_packets(film)))
    return cached[0].check(path, allow_short)


@contextmanager
def scan(path: Path, allow_short: bool = False) -> Iterator[tuple["VideoStream", VideoIndex, "Iterable[Packet]"]]:
    """Open a video stream with its outline and its packets; a file without a cached outline is read once for both."""
    cached = known_outline(path, *state_of(path))
    if not cached:
        with open_film(path) as film:
            contents = read_packets(film, keep=True)
            cached.append(make_outline(path, film, contents))
            if contents.kept_packets is not None:
                yield film, cached[0].check(path, allow_short), contents.kept_packets
                return
    index = cached[0].check(path, allow_short)
    with open_film(path) as film:
        yield film, index, packets_of(film)


@lru_cache(CACHE_SIZE)
def known_outline(_path: Path, _modified: int, _size: int) -> list[VideoIndex]:
    """Return the cache of the outline of one state of a file: a list, empty until the outline is made."""
    return []


def state_of(path: Path) -> tuple[int, int]:
    """Return modification time and size of a file, which change with its content."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such video file") from None
    return facts.st_mtime_ns, facts.st_size


def make_outline(path: Path, film: "VideoStream", contents: Contents) -> VideoIndex:
    """Build the `outline` from the contents of a file."""
    keys = contents.packets.keys
    skipped = int(keys.argmax()) if keys.any() else 0
    packets = contents.packets[skipped:]
    shown = packets[~packets.hidden & ~leading(packets)]
    if not len(shown.pts):
        raise ValueError(f"{path}: holds no frame")
    clock, exact = choose_clock(film, shown)
    unit, form = float(film.time_base or 0), film.container.format.name
    stamps = np.unique(getattr(shown, clock)) if clock else np.empty(0, np.int64)
    stamps = stamps[stamps != UNKNOWN]
    seconds = ((stamps - stamps[:1]) * unit).astype(np.float64)
    period = frame_period(film, seconds)
    notes = describe(shown, skipped, clock, unit, seconds, period)
    if clock and is_too_fast(seconds):
        clock, seconds = (clock, np.arange(len(stamps)) * period) if exact else ("", seconds)
    exact_times = clock == "pts" and exact
    last = float(max(period, shown.durations[shown.pts.argmax()] * unit)) if exact_times else period
    return VideoIndex(
        clock=clock,
        seconds=seconds if exact_times else np.empty(0),
        stamps=stamps if exact_times else np.empty(0, np.int64),
        keys=find_keys(shown, stamps, form) if exact_times else np.zeros(1, np.int64),
        skipped=skipped,
        unit=unit,
        period=period,
        last=last,
        length=float(seconds[-1]) + last if clock else len(shown.pts) * period,
        size=(film.codec_context.width, film.codec_context.height),
        container=form,
        notes=notes,
        damage=find_damage(film, contents._replace(packets=packets), period),
    )


def leading(packets: Packets) -> NDArray[np.bool_]:
    """Return which packets are shown before the first one, whose references they share with an absent part."""
    of_first = np.cumsum(packets.keys) <= 1  # later on, times jump back where two recordings were joined
    return of_first & (packets.pts < packets.pts[:1]) & (packets.pts != UNKNOWN)


def find_keys(shown: Packets, stamps: Times, form: str) -> NDArray[np.int64]:
    """Return the frames at which decoding can begin, the first among them; in some formats that alone."""
    seekable = any(name in form for name in SEEKABLE)
    return np.union1d([0], np.searchsorted(stamps, shown.pts[shown.keys & seekable]))


def choose_clock(film: "VideoStream", shown: Packets) -> tuple[str, bool]:
    """Choose the stamp of a frame that is its display time ("" for none), and whether packets state it as well."""
    count = len(shown.pts)
    if film.codec_context.has_b_frames and are_guesses(film, shown):
        increasing = UNKNOWN not in shown.dts and (np.diff(shown.dts) > 0).all()
        return ("dts" if increasing else ""), False
    times = shown.pts[shown.pts != UNKNOWN]
    if len(np.unique(times)) == count and is_in_order(shown):
        return "pts", True
    different = np.count_nonzero(np.diff(times, prepend=UNKNOWN))
    return ("pts" if 3 * different > count else ""), False  # the two fields of a frame may share its time


def are_guesses(film: "VideoStream", shown: Packets) -> bool:
    """Whether display times are not in the file: always in AVI, in MXF where they equal decoding times."""
    form = film.container.format.name
    return form == "avi" or (form == "mxf" and np.array_equal(shown.pts, shown.dts))


def is_in_order(shown: Packets) -> bool:
    """Whether times go on as decoding does: where they jump back, a sorted list would mix two parts of the film."""
    dts = shown.dts[shown.dts != UNKNOWN]
    rank = np.argsort(np.argsort(shown.pts))
    return bool((np.diff(dts) >= 0).all() and np.abs(rank - np.arange(len(rank))).max() <= REORDERED)


def frame_period(film: "VideoStream", seconds: NDArray[np.float64]) -> float:
    """Return the seconds per frame: the first plausible rate that the file states, unless its times contradict."""
    rates = (float(rate or 0) for rate in (film.guessed_rate, film.codec_context.framerate))
    nominal = next((1 / rate for rate in rates if 0 < rate <= MAX_RATE), 1 / UNKNOWN_RATE)
    if len(seconds) < 2 or is_too_fast(seconds):
        return nominal
    median = float(np.median(np.diff(seconds)))
    return nominal if 0.4 * median <= nominal <= 2.5 * median else median
