"""Packets of a video file, without decoding: their times, and whether the file is whole."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .containers import container_of, load_av

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

UNKNOWN = -(2**62)  # in place of a time that a packet does not have
TOLERANCE, PERIODS = 0.2, 3  # seconds, or frames, by which a film may end before the end that its file states
SLACK = 0.5  # the same for the end of all streams together, which headers round
KEPT_BYTES = 32 << 20  # of packets, which are kept for decoding so that most files are read once
CLOCK_TIME = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass(frozen=True)
class Packets:
    """Packets of a video stream in decoding order, one element each."""

    pts: NDArray[np.int64]  # when its frame is shown, in units of the stream
    dts: NDArray[np.int64]  # when it is decoded
    durations: NDArray[np.int64]  # display time of the frame, 0 where nothing states it
    keys: NDArray[np.bool_]  # whether decoding can begin there
    hidden: NDArray[np.bool_]  # whether it is decoded but not shown, as an edit list says
    corrupt: NDArray[np.bool_]  # whether it is damaged

    def __getitem__(self, rows: "slice | NDArray[np.bool_]") -> "Packets":
        return Packets(**{name: column[rows] for name, column in vars(self).items()})


class Contents(NamedTuple):
    """Contents of a file that was read to its end."""

    packets: Packets  # of the film, those with a picture
    end: float  # seconds at which the last packet of any stream ends
    readable: bool  # whether there was no error on the way
    listed: int  # packets that the file's own index lists; 0 without one
    # All packets of the film, for decoding; None if above `KEPT_BYTES`, or not asked for.
    kept_packets: "list[Packet] | None"


def read_packets(film: "VideoStream", keep: bool = False) -> Contents:
    """Read all packets of a file that was just opened, and `keep` them for decoding.

    Every stream is read where only the end of all of them is stated (see `stated_end`).
    """
    listed = len(film.index_entries)
    container = container_of(film)
    streams = container.streams if stated_end(film) is None else [film]
    rows: list[tuple[int, int, int, bool, bool, bool]] = []
    ends: dict[int, int] = {}
    readable, bytes_left = True, KEPT_BYTES if keep else 0
    kept_packets: list[Packet] = []
    try:
        for packet in container.demux(*streams):
            if bytes_left > 0 and packet.stream.index == film.index:  # the last one, empty, has no index of its own
                kept_packets.append(packet)
                bytes_left -= packet.size
            if not packet.size:  # an empty slot, in which the picture before stays on the screen
                continue
            pts, dts, duration = packet.pts, packet.dts, packet.duration or 0
            ends[packet.stream_index] = max(
                ends.get(packet.stream_index, UNKNOWN), UNKNOWN if pts is None else pts + duration
            )
            if packet.stream_index == film.index:
                times = (UNKNOWN if pts is None else pts, UNKNOWN if dts is None else dts, duration)
                rows.append((*times, packet.is_keyframe, packet.is_discard, packet.is_corrupt))
    except load_av().error.FFmpegError:
        readable = False
    columns = list(zip(*rows, strict=True)) or [()] * 6
    kinds = (np.int64, np.int64, np.int64, np.bool_, np.bool_, np.bool_)
    packets = Packets(*(np.array(column, kind) for column, kind in zip(columns, kinds, strict=True)))
    units = {stream.index: float(stream.time_base or 0) for stream in container.streams}
    end = max((end * units[i] for i, end in ends.items()), default=0.0)
    return Contents(packets, end, readable, listed, kept_packets if bytes_left > 0 else None)


def find_damage(film: "VideoStream", contents: Contents, period: float) -> str:
    """Return why a video is not whole: damaged packets, or an end before the stated one; "" if it is whole.

    The index of an AVI file stands at its end, so a file that has one, and all that it lists, is whole: the length in
    its header counts slots without a picture.
    """
    packets = contents.packets
    if count := count_corrupt(film, packets):
        return f"{count} of its {len(packets.corrupt)} packets are damaged"
    if not contents.readable:
        return "it cannot be read to its end"
    if film.container.format.name == "avi" and film.duration == film.frames and 0 < contents.listed <= len(packets.pts):
        return ""
    stream_end = stated_end(film)
    stated = common_end(film) if stream_end is None else stream_end
    actual = contents.end if stream_end is None else film_end(film, packets)
    slack = max(SLACK if stream_end is None else TOLERANCE, PERIODS * period)
    return f"it ends after {actual:.2f} of {stated:.2f} seconds" if stated and actual < stated - slack else ""


def count_corrupt(film: "VideoStream", packets: Packets) -> int:
    """Count the packets that are damaged.

    In a transport stream the counter of its pieces begins anew where two recordings were joined. FFmpeg then marks the
    last packet before that or, as its parser looks ahead, the one before it; whether these are whole, decoding tells.
    """
    corrupt = packets.corrupt.copy()
    if film.container.format.name == "mpegts":
        corrupt[:-1] &= ~packets.keys[1:]
        corrupt[:-2] &= ~packets.keys[2:]
    return int(corrupt.sum())


def film_end(film: "VideoStream", packets: Packets) -> float:
    """Return the seconds at which the last picture ends, on the file's clock."""
    times = packets.dts if film.container.format.name == "avi" else packets.pts
    return float((times + packets.durations).max() * (film.time_base or 0))


def stated_end(film: "VideoStream") -> float | None:
    """Return the seconds at which the file says that this very stream ends, on the file's clock."""
    form, duration = film.container.format.name, film.duration
    if ("mov" in form or form == "avi") and duration and film.time_base:
        return float(((film.start_time or 0) + duration) * film.time_base)
    if "matroska" in form and (match := CLOCK_TIME.match(film.metadata.get("DURATION", ""))):
        seconds = int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])
        return min(seconds, common_end(film) or seconds)
    return None


def common_end(film: "VideoStream") -> float:
    """Return the seconds that a file's header states for all of its streams together; 0 where it is silent.

    In other formats FFmpeg finds the duration from the packets, of which it says nothing that they don't.
    """
    states = any(name in film.container.format.name for name in ("matroska", "flv", "asf"))
    return (container_of(film).duration or 0) / 1e6 if states else 0.0
