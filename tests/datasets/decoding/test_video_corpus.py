"""Films of every kind come out as a player shows them, the same frames by every way of reading them."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from films import (
    count_more,
    count_nothing,
    cut_by_edit_list,
    packed,
    part,
    patched,
    picture,
    spelled,
    write_film,
)

from datasets.clips.views import Placement, whole
from datasets.decoding.video.containers import DamagedVideo
from datasets.decoding.video.index import index_video
from datasets.decoding.video.outline import known_outline
from datasets.decoding.video.reading import read_video
from datasets.stores.store import Video
from datasets.stores.video_files import VideoFiles
from datasets.streams import RGB
from utils1 import extract_frames
from workflows.predicting.annotate import original_frames
from workflows.predicting.video_streams import read_frames

COUNT = 40
EVEN = tuple(i / 25 for i in range(COUNT))


class Kind(NamedTuple):
    """A made film.

    Attributes:
        make: Writes it.
        times: Seconds of each frame.
        first: Number of the first frame.
        last: Seconds of the last frame.
        note: What is said of it.
    """

    make: Callable[[Path], Any]
    times: Sequence[float] = EVEN
    first: int = 0
    last: float = 1 / 25
    note: str = ""


def film(*args: Any, **options: Any) -> Callable[[Path], Any]:
    """Writes a film of these properties."""
    return lambda path: write_film(path, *args, **options)


def changed(change: Callable[[bytearray], bytearray | None], *args: Any, **options: Any) -> Callable[[Path], Any]:
    """Writes a film whose bytes are then changed."""
    return lambda path: patched(write_film(path, *args, **options), change)


def at_rate(rate: float, count: int = COUNT) -> tuple[float, ...]:
    return tuple(i / rate for i in range(count))


def with_cover(path: Path, marked: bool) -> None:
    """A film whose first stream is a picture of a disc."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        is_png = path.suffix == ".mov"
        cover = container.add_stream("png" if is_png else "mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24" if is_png else "yuvj420p"
        if marked:
            cover.disposition = av.stream.Disposition.attached_pic
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        image = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 200, np.uint8), format="rgb24")
        for packet in [*cover.encode(image), *cover.encode()]:
            container.mux(packet)
        for i in range(COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="rgb24")))
        container.mux(stream.encode())


def alike(packets: list[Any]) -> list[Any]:
    for packet in packets:
        packet.pts = packet.dts = 0
    return packets


SLOTS = [i * 6 // 5 for i in range(COUNT)]  # 30 a second made from 25
RECORDED = np.cumsum([62, *[47, 33, 60, 40] * 10][:COUNT]).tolist()  # milliseconds
DELAYS = np.cumsum([0, *[4, 8, 12, 3] * 10][:COUNT]).tolist()  # hundredths of a second
WRAP = 2**33 // 3600  # frames after which the clock of an MPEG stream begins anew
QUIET = "log-level=none"
TOO_FAST = "timestamps cannot be right"
NO_KEY = "packets need a frame that is not in the file"

KINDS: dict[str, Kind] = {
    # slots without a picture, and other headers of AVI
    "slots.avi": Kind(film("mpeg4", 30, times=SLOTS), [s / 30 for s in SLOTS], last=1 / 30),
    "slots_mjpeg.avi": Kind(film("mjpeg", 30, times=SLOTS, pixels="yuvj420p"), [s / 30 for s in SLOTS], last=1 / 30),
    "slots_b.avi": Kind(film("libx264", 30, times=SLOTS, b_frames=2), [s / 30 for s in SLOTS], last=1 / 30),
    "slots_of_4.avi": Kind(film("mpeg4", 60, times=range(0, 160, 4)), at_rate(15), last=1 / 15),
    "no_count.avi": Kind(changed(count_nothing, "mpeg4")),
    "empty_end.avi": Kind(changed(count_more(20), "mpeg4")),
    "packed.avi": Kind(film("mpeg4", b_frames=1, change=packed)),
    "packed_30.avi": Kind(film("mpeg4", 30, b_frames=1, change=packed), at_rate(30), last=1 / 30),
    "b_frames.avi": Kind(film("mpeg4", b_frames=2)),
    "intra.avi": Kind(film("huffyuv", pixels="yuv422p")),
    "order_not_stated.mxf": Kind(film(b_frames=2)),
    # edit lists
    "edited.mp4": Kind(changed(cut_by_edit_list(20, 40), b_frames=2, count=60), first=20),
    "edited_late.mp4": Kind(changed(cut_by_edit_list(41, 10), b_frames=2, count=60), EVEN[:10], first=41),
    "edited.mov": Kind(changed(cut_by_edit_list(7, 40), count=60), first=7),
    # recorders, and headers that count nothing
    "recorder.webm": Kind(
        film("libvpx", 1000, times=RECORDED, muxing={"live": "1"}), [(t - 62) / 1000 for t in RECORDED]
    ),
    "recorder_vp9.webm": Kind(
        film("libvpx-vp9", 1000, times=RECORDED, muxing={"live": "1"}, options={"cpu-used": "8"}),
        [(t - 62) / 1000 for t in RECORDED],
    ),
    "fragments.mp4": Kind(film(b_frames=2, muxing={"movflags": "frag_keyframe+empty_moov"})),
    "live.mkv": Kind(film(b_frames=2, muxing={"live": "1"})),
    "live.flv": Kind(film(b_frames=2, muxing={"flvflags": "no_duration_filesize"})),
    # other streams that are longer, or the first
    "sound.mkv": Kind(film(b_frames=2, sound=6)),
    "sound.mp4": Kind(film(b_frames=2, sound=6)),
    "sound.flv": Kind(film(b_frames=2, sound=6)),
    "sound.ts": Kind(film(b_frames=2, sound=6)),
    "cover.mp4": Kind(partial(with_cover, marked=True)),
    "cover.mov": Kind(partial(with_cover, marked=False)),
    "cover.mkv": Kind(partial(with_cover, marked=False)),
    # a beginning after zero, or in the middle
    "late.mkv": Kind(film(times=range(75, 115))),
    "late.mp4": Kind(film(times=range(75, 115))),
    "late.ts": Kind(film(times=range(75, 115), b_frames=2)),
    "clock_wraps.ts": Kind(film(times=range(WRAP - 20, WRAP + 20), b_frames=2)),
    "clock_wraps_later.ts": Kind(film(times=range(WRAP - 1200, WRAP - 1160), b_frames=2)),
    "no_key.ts": Kind(changed(part(0.2, 1), count=80), at_rate(25, 64), first=16, note=NO_KEY),
    "no_key_open.ts": Kind(
        changed(part(0.2, 1), count=80, b_frames=2, options={"x264-params": "open-gop=1:keyint=12"}),
        at_rate(25, 54),
        first=26,
        note=NO_KEY,
    ),
    "no_key.mpg": Kind(film("mpeg2video", b_frames=2)),
    "no_key_mpeg2.ts": Kind(
        changed(part(0.2, 1), "mpeg2video", count=80, b_frames=2), at_rate(25, 62), first=18, note=NO_KEY
    ),
    # times that cannot be
    "fast.mp4": Kind(film(rate=10_000), note=TOO_FAST),
    "fast.mkv": Kind(film(rate=1000, b_frames=2), note=TOO_FAST),
    "fast.avi": Kind(film("mpeg4", 1000), note=TOO_FAST),
    "alike.flv": Kind(film("flv", change=alike), note=TOO_FAST),
    # codecs
    "av1.mp4": Kind(film("libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"})),
    "av1.mkv": Kind(film("libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"})),
    "hevc.mkv": Kind(film("libx265", b_frames=2, options={"x265-params": QUIET})),
    "h263.3gp": Kind(film("h263", size=(176, 144))),
    "wmv.wmv": Kind(film("wmv2", 30), at_rate(30), last=1 / 30),
    "camera.m2ts": Kind(film(b_frames=2, form="mpegts", muxing={"mpegts_m2ts_mode": "1"})),
    "disc.vob": Kind(film("mpeg2video", b_frames=2)),
    "animation.gif": Kind(film("gif", times=DELAYS, unit=Fraction(1, 100), pixels="rgb8"), [t / 100 for t in DELAYS]),
    # interlaced
    "top_first.mp4": Kind(film(options={"x264-params": "tff=1"})),
    "bottom_first.mkv": Kind(film(options={"x264-params": "bff=1"})),
    "interlaced.mpg": Kind(film("mpeg2video", options={"flags": "+ildct+ilme"})),
    "interlaced.avi": Kind(film("mpeg4", options={"flags": "+ildct+ilme"})),
    "tape.dv": Kind(film("dvvideo", size=(720, 576), count=3), EVEN[:3]),
    "tape.avi": Kind(film("dvvideo", size=(720, 576), count=3), EVEN[:3]),
    "tape.mov": Kind(
        film("dvvideo", Fraction(30000, 1001), size=(720, 480), pixels="yuv411p", count=3),
        at_rate(30 / 1.001, 3),
        last=1.001 / 30,
    ),
    # colours
    "rgb.mkv": Kind(film("libx264rgb", pixels="rgb24")),
    "grey.mkv": Kind(film("ffv1", pixels="gray")),
    "ten_bits.mov": Kind(film("prores_ks", pixels="yuv422p10le")),
    "full_range.mp4": Kind(film(pixels="yuvj444p")),
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    for name, kind in KINDS.items():
        place(root, name).parent.mkdir()
        kind.make(place(root, name))
    return root


def place(root: Path, name: str) -> Path:
    """A film in a folder of its own, for some names differ in the ending alone."""
    return root / name.replace(".", "_") / name


def on_screen(kind: Kind, fps: float) -> list[int]:
    """Numbers of the frames at each tick, by the times of the film."""
    ticks = [floor(t * fps + 0.5 + 1e-6) for t in [*kind.times, kind.times[-1] + kind.last]]
    return [kind.first + max(i for i, t in enumerate(ticks[:-1]) if t <= k) for k in range(max(ticks[-1], 1))]


def by_position(path: Path, fps: float | None, numbers: Sequence[int] | None = None) -> np.ndarray:
    """Frames (T, H, W, 3) as training reads them."""
    store = VideoFiles(path.parent, fps=fps)
    every = range(1, store.counts(path, {"rgb"})["rgb"] + 1)
    return store.read(Video("", path, 0, 0), RGB, numbers or every, Placement(whole)).transpose(1, 2, 3, 0)


@pytest.mark.parametrize("name", KINDS)
def test_a_film_is_shown_by_its_timestamps(corpus, name):
    kind, path = KINDS[name], place(corpus, name)
    index = index_video(path)
    assert np.allclose(index.seconds, kind.times, atol=2e-3)
    every = [spelled(frame) for frame in read_video(path, None, None)]
    assert every == [kind.first + i for i in range(len(kind.times))]
    assert [spelled(frame) for frame in read_video(path, 25.0, None)] == on_screen(kind, 25)
    assert len(index.notes) == bool(kind.note)
    assert all(kind.note in note for note in index.notes)


@pytest.mark.parametrize("name", KINDS)
def test_every_way_of_reading_gives_the_same_frames(corpus, name):
    path = place(corpus, name)
    for fps in (25.0, None):
        known_outline.cache_clear()
        extracted = np.stack(list(read_video(path, fps, None)))  # reads the file once, then by what it knows of it
        assert np.array_equal(by_position(path, fps), extracted)
        assert np.array_equal(np.stack(list(read_frames(path, {"fps": fps, "short_side": None}))), extracted)
        rng = np.random.default_rng(0)
        numbers = rng.integers(1, len(extracted) + 1, 4)
        assert np.array_equal(by_position(path, fps, numbers.tolist()), extracted[numbers - 1])
    assert np.array_equal(np.stack(list(read_video(path, None, None, bgr=True)))[..., ::-1], extracted)
    timed = list(original_frames(path, 25.0)[1])
    assert np.allclose([seconds for seconds, _ in timed], index_video(path).seconds)
    assert np.array_equal(np.stack([frame for _, frame in timed]), extracted)


def test_all_kinds_are_extracted_and_what_is_unusual_is_said_once(corpus, tmp_path, capfd):
    extract_frames.main(extract_frames.parse_args([str(corpus), str(tmp_path), "0", "999", "--workers", "1"]))
    for name, kind in KINDS.items():
        done = place(tmp_path, name).with_suffix("") / "done"
        assert done.read_text() == f"rgb {len(on_screen(kind, 25))}\n"
    said = capfd.readouterr().err.splitlines()
    for name, kind in KINDS.items():
        assert sum(f"/{name}: " in line and kind.note in line for line in said) == bool(kind.note)


def joined(path: Path, starts: Sequence[int], codec: str) -> Path:
    """Films of 40 frames one behind the other, whose times begin at so many frames."""
    films = [
        write_film(path.with_stem(f"part{i}"), codec, times=range(start, start + COUNT), b_frames=2)
        for i, start in enumerate(starts)
    ]
    path.write_bytes(b"".join(made.read_bytes() for made in films))
    return path


@pytest.mark.parametrize("starts", [(0, 40), (0, 37), (0, 0), (500, 100), (0, 0, 0)], ids=str)
@pytest.mark.parametrize(
    ("name", "codec"), [("h264.ts", "libx264"), ("mpeg2.ts", "mpeg2video"), ("ps.mpg", "mpeg2video")]
)
def test_recordings_that_were_joined_are_whole_and_all_of_them_is_shown(tmp_path, starts, name, codec):
    path = joined(tmp_path / name, starts, codec)
    extracted = np.stack(list(read_video(path, None, None)))
    assert [spelled(frame) for frame in extracted] == [*range(COUNT)] * len(starts)
    assert np.array_equal(by_position(path, None), extracted)
    assert index_video(path).length >= 75 / 25


def test_a_film_that_begins_between_two_refreshes_shows_its_first_whole_frame_until_the_next(tmp_path):
    options = {"x264-params": "intra-refresh=1:keyint=20"}
    path = patched(write_film(tmp_path / "a.ts", count=100, options=options), part(0.55, 1))
    extracted = np.stack(list(read_video(path, None, None)))
    numbers = [spelled(frame) for frame in extracted]
    whole_ones = sorted(set(numbers))
    assert whole_ones == [*range(whole_ones[0], 100)]
    assert numbers == [whole_ones[0]] * (len(numbers) - len(whole_ones)) + whole_ones
    assert np.array_equal(by_position(path, None), extracted)


def test_an_avi_file_that_ends_between_two_chunks_is_short(tmp_path):
    path = write_film(tmp_path / "a.avi", "mpeg4")
    data = path.read_bytes()
    chunk = data.index(b"movi")
    for _ in range(21):
        chunk = data.index(b"00dc", chunk + 1)
    path.write_bytes(data[:chunk])
    with pytest.raises(DamagedVideo, match=r"a\.avi: it ends after 0\.80 of"):
        index_video(path)
    assert [spelled(frame) for frame in read_video(path, None, None, allow_short=True)] == [*range(20)]


def test_frames_that_refer_to_a_lost_one_are_damage_in_hevc(tmp_path):
    path = write_film(
        tmp_path / "a.mp4", "libx265", options={"x265-params": QUIET}, change=lambda packets: packets[:7] + packets[8:]
    )
    with pytest.raises(DamagedVideo, match="cannot be decoded after 7 frames"):
        list(read_video(path, None, None))
