"""Small video files of every kind, whose frames spell their numbers."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BITS, SIDE = 8, 12  # a row of squares spells the number of a frame
SIZE = (BITS * SIDE, 64)
MP4_UNIT = 12_800


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A frame that spells its number, counted from 0, in squares."""
    width, height = SIZE
    image = np.full((height, width, 3), 60 + number % 97, np.uint8)
    for bit in range(BITS):
        image[height // 2 :, bit * SIDE : (bit + 1) * SIDE] = 255 * (number >> bit & 1)
    image[: height // 4, number % (width // 2) : number % (width // 2) + 10] = (255, 40, 0)
    rows, columns = (np.arange(out) * own // out for out, own in zip(size[::-1], SIZE[::-1], strict=True))
    return image[rows][:, columns]


def spelled(frame: np.ndarray) -> int:
    """The number of a frame (H, W, 3)."""
    height, width = frame.shape[0] / SIZE[1], frame.shape[1] / SIZE[0]
    rows = slice(round(-8 * height), None)
    squares = [
        frame[rows, round((bit * SIDE + 3) * width) : round(((bit + 1) * SIDE - 3) * width)].mean() > 127
        for bit in range(BITS)
    ]
    return sum(square << bit for bit, square in enumerate(squares))


def write_film(
    path: Path,
    codec: str = "libx264",
    rate: float | Fraction = 25,
    *,
    times: Sequence[int] | None = None,
    unit: Fraction | None = None,
    count: int = 40,
    b_frames: int = 0,
    size: tuple[int, int] = SIZE,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    sound: float = 0,
    form: str | None = None,
    change: Callable[[list[Any]], list[Any]] | None = None,
) -> Path:
    """Write a film of `count` frames, a frame to begin at every 12.

    Args:
        path: Its ending says the container, unless `form` does.
        codec: Of the pictures.
        rate: Frames per second that the file states.
        times: Of each frame, in steps of `unit`; one step after the other if not given.
        unit: Seconds; one frame if not given.
        count: Frames.
        b_frames: Most frames in a row that need a later one.
        size: Width and height.
        pixels: Pixel format.
        options: Of the codec.
        muxing: Options of the container.
        sound: Seconds of an audio stream.
        form: Name of the container.
        change: Packets in the order of decoding -> those that are written.
    """
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format=form, options=muxing or {}) as container:
        audio = container.add_stream("aac" if path.suffix != ".webm" else "libopus", rate=48_000) if sound else None
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(100_000), options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        stream.gop_size, stream.codec_context.max_b_frames = 12, b_frames
        stream.codec_context.thread_count = 1  # several write other bytes each time
        unit = unit or 1 / Fraction(rate).limit_denominator(100_000)
        stream.codec_context.time_base = unit
        packets = []
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(picture(i, size), format="rgb24")
            frame.pts, frame.time_base = i if times is None else times[i], unit
            packets += stream.encode(frame)
        packets += stream.encode()
        container.start_encoding()
        for packet in change(packets) if change else packets:
            container.mux(packet)
        for i in range(round(sound * 48_000 / 960)):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * i, Fraction(1, 48_000)
            container.mux(audio.encode(frame))
        if audio:
            container.mux(audio.encode(None))
    return path


def patched(path: Path, change: Callable[[bytearray], bytearray | None]) -> Path:
    """The file with its bytes changed."""
    data = bytearray(path.read_bytes())
    path.write_bytes(change(data) or data)
    return path


def put(data: bytearray, after: bytes, offset: int, *values: int, order: str = "big") -> None:
    """Write 32-bit numbers at so many bytes behind the end of a mark."""
    at = data.index(after) + len(after) + offset
    for i, value in enumerate(values):
        data[at + 4 * i : at + 4 * i + 4] = value.to_bytes(4, order)


def count_nothing(data: bytearray) -> None:
    """An AVI whose header counts no frames."""
    put(data, b"avih", 4 + 16, 0, order="little")
    put(data, b"strh", 4 + 32, 0, order="little")


def count_more(extra: int) -> Callable[[bytearray], None]:
    """An AVI whose header counts more slots than have pictures, as if the last ones were empty."""

    def change(data: bytearray) -> None:
        at = data.index(b"strh") + 8 + 32
        slots = int.from_bytes(data[at : at + 4], "little") + extra
        put(data, b"avih", 4 + 16, slots, order="little")
        put(data, b"strh", 4 + 32, slots, order="little")

    return change


def cut_by_edit_list(first: int, count: int, rate: int = 25) -> Callable[[bytearray], None]:
    """An MP4 of which an edit list shows `count` frames from `first` on."""

    def change(data: bytearray) -> None:
        at = data.index(b"elst") + 4 + 8
        media = int.from_bytes(data[at + 4 : at + 8]) + first * MP4_UNIT // rate
        put(data, b"elst", 8, count * 1000 // rate, media)

    return change


def part(begin: float, end: float) -> Callable[[bytearray], bytearray]:
    """Return the part between two shares of a file, in whole packets of a transport stream."""
    return lambda data: data[int(begin * len(data)) // 188 * 188 : int(end * len(data)) // 188 * 188]


def packed(packets: list[Any]) -> list[Any]:
    """MPEG-4 as DivX and XviD pack it: a B-frame lies in one packet with the frame before it, then comes a filler.

    The filler is a frame that is "not coded": start code, type P, no seconds, a marker, the time, a marker, 0.
    """
    av = pytest.importorskip("av")
    vol, user = b"\x00\x00\x01\xb6", b"\x00\x00\x01\xb2DivX503b1393p"
    made: list[tuple[bytes, bool]] = []
    for packet in packets:
        data = bytes(packet)
        if not made:
            data = data.replace(vol, user + vol, 1)
        if data[data.index(vol) + 4] >> 6 == 2:  # a B-frame
            made[-1] = (made[-1][0] + data, made[-1][1])
            made.append((vol + b"\x51\x80\x7f", False))
        else:
            made.append((data, packet.is_keyframe))
    out = []
    for i, (data, key) in enumerate(made):
        packet = av.Packet(data)
        packet.stream, packet.time_base, packet.pts, packet.dts = packets[0].stream, packets[0].time_base, i, i
        packet.is_keyframe = key
        out.append(packet)
    return out
